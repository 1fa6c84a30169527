#!/usr/bin/env python3
"""Birkhoff and Hugging Face transformers on this CPU, same checkpoint, side by side in one run.

    bench/peers/transformers_cpu.py [--model models/tiny-v4] [--json results.jsonl]

Both get every core. Repetitions alternate between the two, so that both see the same machine; the
median is reported with its spread. Before anything is timed, transformers has to agree with the
checkpoint's golden outputs. Transformers gets the dequantised weights, in float32 and in bfloat16.
The first run makes a virtual environment with pinned versions outside the tree (cpu_torch.py).
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import cpu_torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
IN_ENVIRONMENT = "BIRKHOFF_PEERS_ENVIRONMENT"  # set for the second start, inside the environment


def birkhoff_command(args):
    command = [args.birkhoff, "bench", "model", "--model", args.model, "--repetitions", 1, "--json"]
    return command + ["--prompt-tokens", args.prompt_tokens, "--decode-tokens", args.decode_tokens]


def birkhoff_speed(args):
    """(prefill, decode) in tokens per second, of one run of its own benchmark."""
    command = [str(word) for word in birkhoff_command(args)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    report = json.loads(done.stdout)
    return report["prefill_tokens_per_s"]["median"], report["decode_tokens_per_s"]["median"]


def dequantise(weights):
    """The checkpoint's tensors as float32: FP8 and MXFP4 are multiplied by their scales."""
    import torch

    e2m1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
    e2m1 = torch.cat([e2m1, -e2m1])
    plain = {}
    for name, weight in weights.items():
        scale = weights.get(name.removesuffix(".weight") + ".scale")
        if name.endswith(".scale"):
            continue
        if scale is None:
            plain[name] = weight.float() if weight.is_floating_point() else weight
        elif (
            weight.dtype == torch.int8
        ):  # two E2M1 a byte, low nibble first; a scale for 32 of a row
            byte = weight.view(torch.uint8).int()
            values = torch.stack([e2m1[byte & 15], e2m1[byte >> 4]], dim=-1).flatten(1)
            plain[name] = values * scale.float().repeat_interleave(32, 1)
        else:  # E4M3; a scale for a block of 128 x 128
            blocks = scale.float().repeat_interleave(128, 0).repeat_interleave(128, 1)
            plain[name] = weight.float() * blocks[: weight.shape[0], : weight.shape[1]]
    return plain


def load_model(folder, dtype, experts):
    import torch
    from safetensors.torch import load_file
    from transformers import AutoConfig, DeepseekV4ForCausalLM

    weights = {}
    for shard in sorted(pathlib.Path(folder).glob("model*.safetensors")):
        weights.update(load_file(shard))
    trunk = {
        name: value for name, value in dequantise(weights).items() if not name.startswith("mtp.")
    }
    config = AutoConfig.from_pretrained(folder)
    del config.quantization_config
    model, report = DeepseekV4ForCausalLM.from_pretrained(
        None,
        config=config,
        state_dict=trunk,
        dtype=dtype,
        attn_implementation="eager",
        experts_implementation=experts,
        output_loading_info=True,
    )
    if report["missing_keys"] or report["unexpected_keys"]:
        raise SystemExit(f"weights do not fit the model: {report}")
    if dtype != torch.float32:
        # Transformers keeps these in float32, and then stops at the first product of mixed types.
        for name, parameter in model.named_parameters():
            if "norm" in name or name.endswith("position_bias"):
                parameter.data = parameter.data.to(dtype)
    return model.eval()


def check_golden(model, folder):
    """Holds the float32 model to the golden logits: what is timed is the same computation."""
    import torch
    from safetensors.torch import load_file

    golden = load_file(pathlib.Path(folder) / "golden.safetensors")
    prompts = sorted(int(name.split(".")[0]) for name in golden if name.endswith(".ids"))
    worst = 0.0
    for prompt in prompts:
        ids = golden[f"{prompt}.ids"].long()[None]
        logits = model(ids, use_cache=False, logits_to_keep=1).logits[0, -1]
        expected = golden[f"{prompt}.logits_last"]
        worst = max(worst, torch.max(torch.abs(logits - expected)).item())
        if torch.argmax(logits) != torch.argmax(expected):
            raise SystemExit(f"transformers disagrees with the golden logits of prompt {prompt}")
    print(
        f"golden: {len(prompts)} prompts, same first choice, worst logit off by {worst:.1e}",
        file=sys.stderr,
    )


def transformers_speed(model, ids, decode_tokens):
    """(prefill, decode) in tokens per second: a prefill into an empty cache, then greedy steps."""
    import torch
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    start = time.perf_counter()
    logits = model(ids, past_key_values=cache, logits_to_keep=1).logits
    filled = time.perf_counter()
    for _ in range(decode_tokens):
        token = torch.argmax(logits[:, -1:], dim=-1)
        logits = model(token, past_key_values=cache, logits_to_keep=1).logits
    return ids.shape[1] / (filled - start), decode_tokens / (time.perf_counter() - filled)


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def git_commit():
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
    )
    return done.stdout.strip() or "unknown"


def machine(threads):
    import torch
    import transformers

    return {
        "cpu": cpu_name(),
        "threads": threads,
        "torch": torch.__version__,
        "commit": git_commit(),
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def summary(name, stage, speeds):
    return {
        "who": name,
        "stage": stage,
        "tokens_per_second": statistics.median(speeds),
        "min": min(speeds),
        "max": max(speeds),
        "repetitions": len(speeds),
    }


def measure(args, ids, models):
    """One warm-up of everybody, then `repetitions` rounds in which everybody has a turn."""
    contestants = {
        name: lambda model=model: transformers_speed(model, ids, args.decode_tokens)
        for name, model in models.items()
    }
    if args.birkhoff.exists():
        contestants["birkhoff"] = lambda: birkhoff_speed(args)
    else:
        print(f"no {args.birkhoff}: measuring transformers alone", file=sys.stderr)
    speeds = {name: [] for name in contestants}
    for repetition in range(args.repetitions + 1):
        for name, speed in contestants.items():
            measured = speed()
            if repetition > 0:
                speeds[name].append(measured)
    return [
        summary(name, stage, [pair[index] for pair in pairs])
        for index, stage in enumerate(["prefill", "decode"])
        for name, pairs in speeds.items()
    ]


def print_table(rows):
    ours = {row["stage"]: row["tokens_per_second"] for row in rows if row["who"] == "birkhoff"}
    print(f"{'stage':8} {'who':22} {'tokens/s':>10} {'min':>10} {'max':>10} {'birkhoff is':>12}")
    for row in rows:
        times = ours[row["stage"]] / row["tokens_per_second"] if row["stage"] in ours else None
        factor = f"{times:.1f} x" if times else ""
        print(
            f"{row['stage']:8} {row['who']:22} {row['tokens_per_second']:10.1f} {row['min']:10.1f} "
            f"{row['max']:10.1f} {factor:>12}"
        )


def compare(args):
    cpu_torch.import_lazily()
    import torch

    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    facts = machine(threads)
    with torch.inference_mode():
        models = {"transformers float32": load_model(args.model, torch.float32, args.experts)}
        check_golden(models["transformers float32"], args.model)
        models["transformers bfloat16"] = load_model(args.model, torch.bfloat16, args.experts)
        ids = torch.randint(
            10, models["transformers float32"].config.vocab_size, (1, args.prompt_tokens)
        )
        rows = measure(args, ids, models)
    print(", ".join(f"{key} {value}" for key, value in facts.items()))
    print_table(rows)
    if args.json:
        with open(args.json, "a", encoding="utf-8") as out:
            for row in rows:
                print(
                    json.dumps(
                        {
                            **row,
                            "prompt_tokens": args.prompt_tokens,
                            "decode_tokens": args.decode_tokens,
                            "model": args.model.name,
                            **facts,
                        }
                    ),
                    file=out,
                )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "models/tiny-v4")
    parser.add_argument(
        "--birkhoff", type=pathlib.Path, default=ROOT / "build/release/cli/birkhoff"
    )
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--decode-tokens", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument(
        "--experts",
        default=None,
        help="transformers' way of running experts: its default, eager, ...",
    )
    parser.add_argument(
        "--environment", default="~/.cache/birkhoff/peers", help="folder of the virtual environment"
    )
    parser.add_argument(
        "--json", type=pathlib.Path, help="append one JSON line per stage and contestant here"
    )
    args = parser.parse_args()
    if os.environ.get(IN_ENVIRONMENT) == "1":
        compare(args)
    else:
        python = cpu_torch.environment(args.environment)
        os.execve(
            python,
            [str(python), *sys.argv],
            {**os.environ, IN_ENVIRONMENT: "1", "HF_HUB_OFFLINE": "1"},
        )


if __name__ == "__main__":
    main()
