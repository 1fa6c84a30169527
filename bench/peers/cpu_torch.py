"""A virtual environment with PyPI's torch and transformers, for the CPU, without the CUDA packages.

PyPI has torch for x86-64 Linux only as a CUDA build, whose shared libraries name the libraries of
NVIDIA (3 GB) although a machine without a GPU calls none of them. This module installs torch alone,
takes the one real library that torch calls at start (the CUDA run time, 2 MB) and puts empty
libraries in the place of the others. Functions are bound when they are called, so `import_lazily()`
must come before `import torch`.
"""

import pathlib
import re
import subprocess
import sys
import venv

TORCH = "torch==2.15.0"
CUDA_RUNTIME = "nvidia-cuda-runtime==13.2.*"
PACKAGES = [
    "transformers==5.17.0",
    "safetensors==0.8.0",
    "tokenizers==0.23.3",
    "numpy==2.4.6",
    # What torch itself needs on a CPU.
    *(
        "filelock",
        "fsspec",
        "jinja2",
        "networkx",
        "setuptools>=77.0.3",
        "sympy",
        "typing-extensions",
    ),
]
NVIDIA = re.compile(r"\[(lib(?:cu|nccl|nv)[^\]]*)\]")  # names of NVIDIA's libraries in `readelf -d`
# The one library whose data, not only functions, are named by torch: it has to define them.
NVSHMEM = "libnvshmem_host.so.3"


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, text=True, **options)


def write_stub(path, symbols=(), version=None):
    """A shared library that defines `symbols`, of symbol version `version`, as empty functions."""
    source = "".join(f"void {symbol}(void) {{}}\n" for symbol in symbols)
    command = ["cc", "-shared", "-fPIC", "-o", path, f"-Wl,-soname,{path.name}", "-x", "c", "-"]
    if version:
        script = path.with_suffix(".map")
        script.write_text(f"{version} {{ global: *; }};\n")
        command.insert(1, f"-Wl,--version-script={script}")
    run(*command, input=source)


def stub_nvidia_libraries(torch_lib):
    libraries = sorted(torch_lib.glob("*.so*"))
    needed = set()
    for library in libraries:
        needed |= set(NVIDIA.findall(run("readelf", "-d", library, capture_output=True).stdout))
    present = {library.name for library in libraries} | {"libcuda.so.1"}
    for name in needed - present:
        if name == NVSHMEM:
            wanted = run(
                "nm",
                "-D",
                "--undefined-only",
                torch_lib / "libtorch_nvshmem.so",
                capture_output=True,
            )
            write_stub(
                torch_lib / name, set(re.findall(r"\b(nvshmem\w+)@", wanted.stdout)), "NVSHMEM"
            )
        elif not name.startswith("libcudart."):
            write_stub(torch_lib / name)


def environment(folder):
    """The Python of the environment in `folder`, made anew when its pins have changed."""
    folder = pathlib.Path(folder).expanduser().resolve()
    python = folder / "bin/python"
    made_with = folder / "pins.txt"
    pins = "\n".join([TORCH, CUDA_RUNTIME, *PACKAGES])
    if made_with.exists() and made_with.read_text() == pins:
        return python
    print(f"making {folder} (about 600 MB to download)", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--no-deps", TORCH, CUDA_RUNTIME)
    run(*pip, *PACKAGES)
    (torch_lib,) = folder.glob("lib/python3*/site-packages/torch/lib")
    stub_nvidia_libraries(torch_lib)
    made_with.write_text(pins)
    return python


def import_lazily():
    """Lets `import torch` bind functions at their first call, which for the stubs never comes."""
    import os

    sys.setdlopenflags(os.RTLD_LAZY)
