"""fastcnn against PyTorch on this machine's CPU, side by side.

    python -m benchmarks.versus_torch [--torch-python PYTHON] [--pairs 9] [--compiled] [--out benchmarks/results/NAME]

Each library runs in a process of its own (their thread pools disturb each other), one at a time, in alternating pairs. PyTorch
gets its best setting: memory that is not given back to the system between steps (fresh pages are dear), channels_last or not,
fused Adam or not, and with --compiled torch.compile too; the fastest in a first round is what the pairs are run with. The
ratio of a pair is torch's time over ours; the table shows medians over the pairs. --torch-python names a Python that has torch
(default: this one). Writes NAME.json and NAME.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "67108864",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
TASKS = {
    "T3 training step, batch 64": ("T3", "step", 64, 30),
    "T3 inference, batch 64": ("T3", "infer", 64, 60),
    "T4 training step, batch 128": ("T4", "step", 128, 5),
    "T4 inference, batch 128": ("T4", "infer", 128, 10),
}


class Worker:
    """A process that measures on request: a JSON line in, the median milliseconds of one call out."""

    def __init__(self, python: str, module: str, threads: int, environment: dict[str, str]):
        variables = {**os.environ, **environment, "OMP_NUM_THREADS": str(threads), "FASTCNN_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [python, str(FOLDER / f"{module}.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables
        )
        self.versions = self.ask({"versions": True})

    def ask(self, request: dict[str, Any]) -> Any:
        """Send a request and wait for its answer."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the worker ended with status {self.process.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


@dataclass
class Row:
    """One task: medians in milliseconds, and the ratio torch/fastcnn pair by pair."""

    task: str
    fastcnn_ms: float
    torch_ms: float
    ratio: float
    lowest_ratio: float
    highest_ratio: float
    pairs: int
    torch_setting: str


def measure(name: str, ours: Worker, theirs: Worker, pairs: int, compiled: bool) -> Row:
    """Choose torch's best setting for a task, then alternate."""
    network, mode, batch, repeats = TASKS[name]
    request = dict(network=network, mode=mode, batch=batch, repeats=repeats)
    settings = [
        dict(channels_last=last, fused=fused, compiled=c)
        for c in ((False, True) if compiled else (False,))
        for last in (False, True)
        for fused in ((False, True) if mode == "step" else (False,))
    ]
    first = [(theirs.ask({**request, **setting}), number) for number, setting in enumerate(settings)]
    best = settings[min(first)[1]]
    times = [(ours.ask(request), theirs.ask({**request, **best})) for _ in range(pairs)]
    ratios = [b / a for a, b in times]
    setting = "tuned, " + ("compiled" if best["compiled"] else "eager")
    setting += ", channels_last" if best["channels_last"] else ""
    return Row(
        name, statistics.median(a for a, _ in times), statistics.median(b for _, b in times),
        statistics.median(ratios), min(ratios), max(ratios), pairs, setting,
    )  # fmt: skip


def processor() -> str:
    """The name of this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def markdown(rows: list[Row], about: dict[str, Any]) -> str:
    """The table, with what it was measured on."""
    lines = [f"{about['processor']}, {about['threads']} threads; {about['fastcnn']}; {about['torch']}; float32.", ""]
    lines.append("| task | fastcnn, ms | PyTorch, ms | ratio (lowest to highest pair) | PyTorch setting |")
    lines.append("| --- | --- | --- | --- | --- |")
    for r in rows:
        spread = f"**{r.ratio:.2f}x** ({r.lowest_ratio:.2f} to {r.highest_ratio:.2f}, {r.pairs} pairs)"
        lines.append(f"| {r.task} | {r.fastcnn_ms:.2f} | {r.torch_ms:.2f} | {spread} | {r.torch_setting} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--out", type=Path, default=FOLDER / "results" / "versus-torch-cpu")
    options = parser.parse_args()
    ours = Worker(sys.executable, "worker_fastcnn", options.threads, {})
    theirs = Worker(options.torch_python, "worker_torch", options.threads, KEEP_MEMORY)
    about = dict(processor=processor(), threads=options.threads, fastcnn=ours.versions, torch=theirs.versions)
    rows = []
    for task in options.tasks:
        rows.append(measure(task, ours, theirs, options.pairs, options.compiled))
        print(f"{task}: {rows[-1].ratio:.2f}x", file=sys.stderr, flush=True)
    ours.close()
    theirs.close()
    print(markdown(rows, about))
    options.out.with_suffix(".json").write_text(json.dumps(dict(about=about, rows=[asdict(r) for r in rows]), indent=1) + "\n")
    options.out.with_suffix(".md").write_text(markdown(rows, about))


if __name__ == "__main__":
    main()
