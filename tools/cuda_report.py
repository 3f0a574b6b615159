#!/usr/bin/env python3
"""What nvcc made of the CUDA kernels, without a GPU: registers, spills, instructions, blocks per multiprocessor.

    tools/cuda_report.py            a table of every kernel of kernels/cuda/*.cu; exits 1 if a kernel breaks a rule
    tools/cuda_report.py --docs     writes the table into docs/cuda.md

Rules: nothing spills; no instruction reads or writes local memory; a block of the size in __launch_bounds__ fits on
a multiprocessor; kernels of a source with the line `// gate: 128-bit global loads` have some; for a source's line
`// gate: KERNEL: N blocks, N FFMA, N LDS.128` registers leave room for so many blocks, and a kernel of that name (a
shell pattern) has at least so many of these instructions: what its loops have when they are unrolled as written and
read shared memory 16 bytes at a time. Instructions are read from the
cubin's words (there is no cuobjdump everywhere): the operation is in the low 9 bits of an instruction's 16 bytes,
the size of an access in bits 73 to 75. The reading itself is checked first, on kernels that are known.
"""

import argparse
import concurrent.futures
import fnmatch
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
ARCHITECTURES = {"80": "A100", "90a": "H100", "100": "B200"}
OPERATIONS = {0x023: "FFMA", 0x180: "LD", 0x181: "LDG", 0x183: "LDL", 0x184: "LDS", 0x185: "ST", 0x186: "STG",
              0x187: "STL", 0x188: "STS", 0x03C: "HMMA"}
WIDTHS = {4: 32, 5: 64, 6: 128}
BEGIN, END = "<!-- tools/cuda_report.py -->", "<!-- end -->"

KNOWN = """
__global__ void wide(float4 *to, const float4 *from) { to[threadIdx.x] = from[threadIdx.x]; }
__global__ void multiply(float *to, float a, float b) { to[threadIdx.x] = fmaf(a, to[threadIdx.x], b); }
__global__ void indexed(float *to, const int *at) {
    float local[64];
    for (int i = 0; i < 64; i++)
        local[at[i] & 63] = to[i];
    for (int i = 0; i < 64; i++)
        to[i] = local[at[63 - i] & 63];
}
"""

OCCUPANCY = r"""
#include <cstdio>
#include <cstring>
#include "cuda_occupancy.h"
int main() {
    int major, minor, registers, threads, shared;
    while (std::scanf("%d %d %d %d %d", &major, &minor, &registers, &threads, &shared) == 5) {
        cudaOccDeviceProp device;
        device.computeMajor = major;
        device.computeMinor = minor;
        device.maxThreadsPerBlock = 1024;
        device.maxThreadsPerMultiprocessor = 2048;
        device.regsPerBlock = device.regsPerMultiprocessor = 65536;
        device.warpSize = 32;
        device.sharedMemPerBlock = 48 << 10;
        device.sharedMemPerMultiprocessor = (major == 8 ? 164 : 228) << 10;
        device.sharedMemPerBlockOptin = (major == 8 ? 163 : 227) << 10;
        device.reservedSharedMemPerBlock = 1 << 10;
        device.numSms = 108;
        cudaOccFuncAttributes kernel;
        kernel.maxThreadsPerBlock = threads;
        kernel.numRegs = registers;
        kernel.sharedSizeBytes = 0;
        kernel.partitionedGCConfig = PARTITIONED_GC_OFF;
        kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
        kernel.maxDynamicSharedSizeBytes = device.sharedMemPerBlockOptin;
        kernel.numBlockBarriers = 1;
        cudaOccDeviceState state;
        cudaOccResult result;
        int code = cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, threads, shared);
        std::printf("%d\n", code ? -1 : result.activeBlocksPerMultiprocessor);
    }
}
"""


def find_nvcc():
    found = os.environ.get("CUDACXX") or shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    return found if os.path.exists(found) else None


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stderr}")
    return done.stdout + done.stderr


def compile_cubin(nvcc, source, architecture, output):
    """Returns ptxas's words about each kernel: {mangled name: (registers, spilled bytes, stack bytes)}."""
    text = run([nvcc, "-std=c++17", "-O3", "-cubin", f"-arch=sm_{architecture}", "-I", ROOT / "kernels",
                "-I", ROOT / "src", "-Xptxas=-v", "-o", output, source])
    kernels, name = {}, None
    for line in text.splitlines():
        if found := re.search(r"Compiling entry function '(\w+)'", line):
            name = found[1]
            kernels[name] = [0, 0, 0]
        elif found := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
            if name:
                kernels[name][1:] = [int(found[2]) + int(found[3]), int(found[1])]
        elif found := re.search(r"Used (\d+) registers", line):
            kernels[name][0] = int(found[1])
            name = None
    return kernels


def sections(elf):
    """Name and bytes of the sections of a 64-bit ELF file."""
    offset, = struct.unpack_from("<Q", elf, 40)
    size, count, names = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", elf, offset + i * size) for i in range(count)]
    strings = headers[names][4]
    for header in headers:
        start = strings + header[0]
        name = elf[start:elf.index(b"\0", start)].decode()
        yield name, (elf[header[4]:header[4] + header[5]] if header[1] != 8 else b"")


def instructions(cubin):
    """{kernel: {"FFMA": n, "LDG": n, "LDG.128": n, ...}}"""
    kernels = {}
    for name, code in sections(pathlib.Path(cubin).read_bytes()):
        if not name.startswith(".text."):
            continue
        count = kernels.setdefault(name[len(".text."):], {})
        for low, high in struct.iter_unpack("<QQ", code):
            operation = OPERATIONS.get(low & 0x1FF)
            if not operation:
                continue
            count[operation] = count.get(operation, 0) + 1
            if operation[:2] in ("LD", "ST"):
                sized = f"{operation}.{WIDTHS.get(high >> 9 & 7, 'other')}"
                count[sized] = count.get(sized, 0) + 1
    return kernels


def check_reading(nvcc, directory):
    source = pathlib.Path(directory) / "known.cu"
    source.write_text(KNOWN)
    for architecture in ARCHITECTURES:
        cubin = pathlib.Path(directory) / "known.cubin"
        compile_cubin(nvcc, source, architecture, cubin)
        found = {re.search(r"\d(wide|multiply|indexed)P", name)[1]: count for name, count in instructions(cubin).items()}
        right = (found["wide"].get("LDG.128") == 1 and found["wide"].get("STG.128") == 1 and
                 found["multiply"].get("FFMA") == 1 and found["multiply"].get("LDG.32") == 1 and
                 found["indexed"].get("LDL", 0) > 0 and found["indexed"].get("STL", 0) > 0 and
                 "LDL" not in found["wide"])
        if not right:
            sys.exit(f"sm_{architecture}: instructions are not read as they should be: {found}")


def demangle(name):
    """A kernel's name and template arguments, without file and parameters."""
    text = run(["c++filt", name]).strip()
    text = re.sub(r"\(anonymous namespace\)::|_GLOBAL__N_\w+::|^void ", "", text)
    text = re.sub(r"_INTERNAL_\w+::", "", text)
    text = re.sub(r"\((\w+)\)(\d+)", r"\2", text)
    return text.split("(")[0]


def bounds(cubin):
    """{kernel: threads of __launch_bounds__}: attribute 5 of its .nv.info section, three words."""
    most = {}
    for name, info in sections(pathlib.Path(cubin).read_bytes()):
        at = 0
        while name.startswith(".nv.info.") and at + 4 <= len(info):
            form, attribute, size = struct.unpack_from("<BBH", info, at)
            if form == 4 and attribute == 5:
                x, y, z = struct.unpack_from("<III", info, at + 4)
                most[name[len(".nv.info."):]] = x * y * z
            at += 4 + (size if form == 4 else 0)
    return most


def occupancies(directory, nvcc, asked):
    program = pathlib.Path(directory) / "occupancy"
    source = program.with_suffix(".cpp")
    source.write_text(OCCUPANCY)
    include = pathlib.Path(nvcc).resolve().parents[1] / "include"
    run(["g++", "-w", "-I", include, "-o", program, source])
    text = run([program], input="".join(" ".join(map(str, each)) + "\n" for each in asked))
    return [int(line) for line in text.split()]


def gates(source):
    """(pattern of kernels, {what: at least}) of a source."""
    for pattern, wanted in re.findall(r"^// gate: (\w+<.*?>): (.*)$", source.read_text(), re.MULTILINE):
        yield pattern, {what.rstrip("s"): int(number) for number, what in re.findall(r"(\d+) ([\w.]+)", wanted)}


def broken_gates(rows):
    """A gate that no kernel passes through is broken too."""
    for source in sorted({row["source"] for row in rows}):
        for pattern, wanted in gates(source):
            meant = [row for row in rows if row["source"] == source and fnmatch.fnmatchcase(row["kernel"], pattern)]
            if not meant:
                yield f"{source.name}: no kernel {pattern}"
            for row in meant:
                for what, least in wanted.items():
                    found = row.get("blocks" if what == "block" else what, 0)
                    if found < least:
                        yield f"sm_{row['arch']} {source.name} {row['kernel']}: {found} {what}, expected {least}"


def report(nvcc, directory):
    """Rows of the table, and what breaks a rule."""
    sources, rows, faults = sorted((ROOT / "kernels" / "cuda").glob("*.cu")), [], []
    jobs = [(source, architecture) for source in sources for architecture in ARCHITECTURES]

    def one(job):
        source, architecture = job
        cubin = pathlib.Path(directory) / f"{source.stem}.{architecture}.cubin"
        compiled = compile_cubin(nvcc, source, architecture, cubin)
        return source, architecture, compiled, instructions(cubin), bounds(cubin)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one, jobs))
    for source, architecture, compiled, counted, threads in results:
        for name, (registers, spilled, stack) in compiled.items():
            count, where = counted[name], f"sm_{architecture} {source.name} {demangle(name)}"
            if spilled or stack or count.get("LDL") or count.get("STL"):
                faults.append(f"{where}: {spilled} bytes spilled, {stack} of stack, {count.get('LDL', 0)} local loads")
            if "gate: 128-bit global loads" in source.read_text() and not count.get("LDG.128"):
                faults.append(f"{where}: no 128-bit global loads")
            rows.append({"source": source, "file": source.name, "kernel": demangle(name), "arch": architecture, "threads": threads.get(name, 1024),
                         "registers": registers, **count})
    blocks = occupancies(directory, nvcc, [(int(r["arch"].rstrip("a")) // 10, 0, r["registers"], r["threads"], 0)
                                           for r in rows])
    for row, most in zip(rows, blocks):
        row["blocks"] = most
        if most < 1:
            faults.append(f"sm_{row['arch']} {row['file']} {row['kernel']}: {row['threads']} threads do not fit")
    return rows, faults + list(broken_gates(rows))


def table(rows):
    lines = ["| kernel | GPU | registers | threads | blocks by registers | FFMA | LDS.128 of LDS | LDG.128 of LDG | local |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda r: (r["file"], r["kernel"])):
        get = lambda key: row.get(key, 0)
        lines.append(f"| {row['file']} `{row['kernel']}` | {ARCHITECTURES[row['arch']]} | {row['registers']} | "
                     f"{row['threads']} | {row['blocks']} | {get('FFMA')} | {get('LDS.128')} of {get('LDS')} | "
                     f"{get('LDG.128')} of {get('LDG')} | {get('LDL') + get('STL')} |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", action="store_true")
    options = parser.parse_args()
    nvcc = find_nvcc()
    if not nvcc:
        print("skipped: no nvcc (set CUDACXX)")
        return 0
    known = run([nvcc, "--list-gpu-arch"]).split()
    for architecture in [name for name in ARCHITECTURES if f"compute_{name.rstrip('a')}" not in known]:
        print(f"{ARCHITECTURES.pop(architecture)} left out: this nvcc does not know sm_{architecture}")
    with tempfile.TemporaryDirectory() as directory:
        check_reading(nvcc, directory)
        rows, faults = report(nvcc, directory)
    text = table(rows)
    print(text)
    if options.docs:
        page = ROOT / "docs" / "cuda.md"
        before, rest = page.read_text().split(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
    for fault in faults:
        print(f"FAULT: {fault}")
    print(f"{len(rows)} kernels compiled, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
