#!/usr/bin/env python3
"""Random checkpoints of odd shapes: `birkhoff score` in f32 against the float64 reference, to 1e-4.

usage: shapes_test.py BIRKHOFF_BINARY [CASE ...]

Every case writes a checkpoint in the release layout (config.json, model.safetensors, official names), scores a random
prompt with the binary and compares the logits after the last token, every token's log-probability and, where the
checkpoint has an MTP block, the draft's logits.  Exit status 77 means skipped: numpy is missing.
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: needs numpy (Debian: python3-numpy)")
    sys.exit(77)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import deepseek_v4_numpy as ref  # noqa: E402

TOLERANCE = 1e-4

BASE = dict(
    architectures=["DeepseekV4ForCausalLM"], model_type="deepseek_v4", hidden_act="silu", scoring_func="sqrtsoftplus",
    topk_method="noaux_tc", norm_topk_prob=True, attention_bias=False, tie_word_embeddings=False, n_shared_experts=1,
    num_key_value_heads=1, torch_dtype="bfloat16", bos_token_id=0, eos_token_id=1, vocab_size=50, hidden_size=64,
    num_hidden_layers=5, num_attention_heads=4, head_dim=32, qk_rope_head_dim=8, q_lora_rank=32, o_groups=2,
    o_lora_rank=16, sliding_window=8, index_n_heads=16, index_head_dim=16, index_topk=3, n_routed_experts=6,
    num_experts_per_tok=2, moe_intermediate_size=32, num_hash_layers=2, swiglu_limit=0.5, hc_mult=4, hc_eps=1e-6,
    hc_sinkhorn_iters=20, rms_norm_eps=1e-6, rope_theta=10000.0, compress_rope_theta=160000.0,
    rope_scaling=dict(type="yarn", factor=16, beta_fast=32, beta_slow=1, original_max_position_embeddings=64),
    max_position_embeddings=256, routed_scaling_factor=1.5, num_nextn_predict_layers=1,
    compress_ratios=[0, 4, 8, 4, 8, 0])

# name -> (changes to BASE, tokens, format of the large matrices)
CASES = {
    "base": ({}, 40, "f32"),
    "six_heads_three_groups": (dict(num_attention_heads=6, o_groups=3, hidden_size=72, head_dim=40, q_lora_rank=40), 45, "f32"),
    "hidden_no_multiple_of_128_fp8": (dict(hidden_size=160, moe_intermediate_size=96, q_lora_rank=136, o_lora_rank=72), 33, "fp8"),
    "mxfp4_experts": (dict(hidden_size=96, moe_intermediate_size=64), 37, "mxfp4"),
    "fp8_blocks_of_32_f32_scales": (dict(hidden_size=80, moe_intermediate_size=48), 30, "fp8_32"),
    "two_streams": (dict(hc_mult=2), 40, "f32"),
    "eight_streams": (dict(hc_mult=8, hidden_size=40), 30, "f32"),
    "window_5_topk_1": (dict(sliding_window=5, index_topk=1), 60, "f32"),
    "other_ratios": (dict(num_hidden_layers=6, compress_ratios=[16, 2, 4, 3, 1, 5]), 50, "f32"),
    "all_layers_hashed": (dict(num_hash_layers=5), 40, "f32"),
    "no_layer_hashed": (dict(num_hash_layers=0, num_experts_per_tok=1), 40, "f32"),
    "no_mtp_no_clamp_no_yarn": (dict(num_nextn_predict_layers=0, swiglu_limit=None, rope_scaling=None,
                                     compress_ratios=[0, 4, 8, 4, 8], hc_sinkhorn_iters=3), 40, "f32"),
    "window_only": (dict(compress_ratios=[0, 0, 0, 0, 0, 0]), 40, "f32"),
    "one_token": ({}, 1, "f32"),
}


class Tensors:
    """Random parameters under the official names, in the bytes that a file holds."""

    def __init__(self, config, form, seed):
        self.c, self.form, self.rng, self.out = config, form, np.random.default_rng(seed), {}

    def plain(self, name, *shape, std=0.2, mean=0.0):
        self.out[name] = ("F32", (mean + self.rng.normal(0, std, shape)).astype("<f4"))

    def matrix(self, name, rows, cols, expert=False):
        if self.form in ("fp8", "fp8_32") or (self.form == "mxfp4" and not expert):
            b = 32 if self.form == "fp8_32" else 128
            q = self.rng.integers(0, 256, (rows, cols), dtype=np.uint8)
            q[(q & 0x7f) > 0x6f] &= 0x9f  # no NaN, nothing above 240
            blocks = ((rows + b - 1) // b, (cols + b - 1) // b)
            self.out[name + ".weight"] = ("F8_E4M3", q)
            if self.form == "fp8_32":
                self.out[name + ".scale"] = ("F32", self.rng.uniform(0.003, 0.006, blocks).astype("<f4"))
            else:
                self.out[name + ".scale"] = ("F8_E8M0", self.rng.integers(118, 121, blocks, dtype=np.uint8))
        elif self.form == "mxfp4":
            self.out[name + ".weight"] = ("I8", self.rng.integers(0, 256, (rows, cols // 2), dtype=np.uint8))
            self.out[name + ".scale"] = ("F8_E8M0", self.rng.integers(122, 125, (rows, cols // 32), dtype=np.uint8))
        else:
            self.plain(name + ".weight", rows, cols)

    def norm(self, name, width):
        self.plain(name, width, std=0.1, mean=1.0)

    def mix(self, prefix, rows, scales):
        self.plain(prefix + "fn", rows, self.c["hc_mult"] * self.c["hidden_size"])
        self.plain(prefix + "base", rows, std=1)
        self.out[prefix + "scale"] = ("F32", self.rng.uniform(0.5, 1.5, scales).astype("<f4"))

    def compressor(self, prefix, ratio, width):
        k = (2 if ratio == 4 else 1) * width
        self.plain(prefix + "wkv.weight", k, self.c["hidden_size"])
        self.plain(prefix + "wgate.weight", k, self.c["hidden_size"])
        self.plain(prefix + "ape", ratio, k, std=1)
        self.norm(prefix + "norm.weight", width)

    def layer(self, p, layer, ratio):
        c = self.c
        d, n = c["hidden_size"], c["hc_mult"]
        heads, dim, groups, rank = c["num_attention_heads"], c["head_dim"], c["o_groups"], c["o_lora_rank"]
        self.norm(p + "attn_norm.weight", d)
        self.norm(p + "ffn_norm.weight", d)
        self.mix(p + "hc_attn_", (2 + n) * n, 3)
        self.mix(p + "hc_ffn_", (2 + n) * n, 3)
        a = p + "attn."
        self.matrix(a + "wq_a", c["q_lora_rank"], d)
        self.norm(a + "q_norm.weight", c["q_lora_rank"])
        self.matrix(a + "wq_b", heads * dim, c["q_lora_rank"])
        self.matrix(a + "wkv", dim, d)
        self.norm(a + "kv_norm.weight", dim)
        self.plain(a + "attn_sink", heads, std=1)
        self.matrix(a + "wo_a", groups * rank, heads * dim // groups)
        self.matrix(a + "wo_b", d, groups * rank)
        if ratio:
            self.compressor(a + "compressor.", ratio, dim)
        if ratio == 4:
            self.compressor(a + "indexer.compressor.", ratio, c["index_head_dim"])
            self.matrix(a + "indexer.wq_b", c["index_n_heads"] * c["index_head_dim"], c["q_lora_rank"])
            self.plain(a + "indexer.weights_proj.weight", c["index_n_heads"], d)
        m, experts, k = p + "ffn.", c["n_routed_experts"], c["num_experts_per_tok"]
        self.plain(m + "gate.weight", experts, d)
        if layer < c["num_hash_layers"]:
            table = np.stack([self.rng.permutation(experts)[:k] for _ in range(c["vocab_size"])])
            self.out[m + "gate.tid2eid"] = ("I64", table.astype("<i8"))
        else:
            self.plain(m + "gate.bias", experts)
        width = c["moe_intermediate_size"]
        for e in ["shared_experts"] + [f"experts.{i}" for i in range(experts)]:
            for w, rows, cols in (("w1", width, d), ("w3", width, d), ("w2", d, width)):
                self.matrix(f"{m}{e}.{w}", rows, cols, expert=e != "shared_experts")

    def model(self):
        c = self.c
        d, n = c["hidden_size"], c["hc_mult"]
        self.plain("embed.weight", c["vocab_size"], d, std=1)
        self.plain("head.weight", c["vocab_size"], d)
        self.norm("norm.weight", d)
        self.mix("hc_head_", n, 1)
        for layer in range(c["num_hidden_layers"]):
            self.layer(f"layers.{layer}.", layer, c["compress_ratios"][layer])
        if c["num_nextn_predict_layers"]:
            self.layer("mtp.0.", c["num_hidden_layers"], 0)
            self.matrix("mtp.0.e_proj", d, d)
            self.matrix("mtp.0.h_proj", d, d)
            for k in ("enorm", "hnorm", "norm"):
                self.norm(f"mtp.0.{k}.weight", d)
            self.mix("mtp.0.hc_head_", n, 1)
        return self.out


def write(folder, config, tensors):
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f)
    header, at = {}, 0
    for name, (dtype, a) in tensors.items():
        header[name] = dict(dtype=dtype, shape=list(a.shape), data_offsets=[at, at + a.nbytes])
        at += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for _, a in tensors.values():
            f.write(a.tobytes())


def log_softmax(x):
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def run(binary, name):
    changes, tokens, form = CASES[name]
    config = {k: v for k, v in {**BASE, **changes}.items() if v is not None}
    config["compress_ratios"] = (changes.get("compress_ratios") or BASE["compress_ratios"])
    if form != "f32":
        b = 32 if form == "fp8_32" else 128
        config["quantization_config"] = dict(quant_method="fp8", fmt="e4m3", weight_block_size=[b, b], scale_fmt="ue8m0")
    # From the name: every case has weights of its own, the same in every run.
    seed = sum(ord(ch) * 31 ** i for i, ch in enumerate(name)) % 2 ** 31
    ids = np.random.default_rng(seed).integers(0, config["vocab_size"], tokens)
    draft = config["num_nextn_predict_layers"] > 0
    with tempfile.TemporaryDirectory() as folder:
        write(folder, config, Tensors(config, form, seed).model())
        command = [binary, "score", "--model", folder, "--precision", "f32", "--logits", "--top", "1", "--ids",
                   ",".join(map(str, ids))] + (["--draft"] if draft else [])
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            print(f"FAIL {name}: exit status {done.returncode}: {done.stderr.strip()}")
            return False
        got = json.loads(done.stdout)
        m = ref.Ref(*ref.load(folder))
    streams = m.trunk(ids)
    logits = m.logits(streams)
    errors = {"logits": np.abs(logits[-1] - got["logits_last"]).max()}
    if tokens > 1:
        expected = np.take_along_axis(log_softmax(logits)[:-1], ids[1:, None], 1)[:, 0]
        errors["log-probabilities"] = np.abs(expected - got["token_logprobs"]).max()
    if draft:
        d = m.mtp(streams, np.append(ids[1:], logits[-1].argmax()))
        errors["draft logits"] = np.abs(d[-1] - got["draft_logits_last"]).max()
    ok = all(e <= TOLERANCE for e in errors.values())
    print(("ok   " if ok else "FAIL ") + name + ": " + ", ".join(f"{k} {v:.1e}" for k, v in errors.items()))
    return ok


def main():
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    names = sys.argv[2:] or list(CASES)
    failed = [n for n in names if not run(sys.argv[1], n)]
    print(f"{len(names) - len(failed)} of {len(names)} shapes agree to {TOLERANCE:g}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
