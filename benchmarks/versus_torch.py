"""fastcnn against PyTorch on this machine's CPU, side by side.

    python -m benchmarks.versus_torch [--torch-python PYTHON] [--only t3,t4,layers,...] [--pairs 9] [--out NAME]

Sections, each written as soon as it is measured; those of an earlier run that are not measured again stay in the files:

    t3 t4      training step and inference of the tutorials' networks
    latency    one picture through T3: model.predict_on_batch against model(x) under torch.inference_mode
    layers     the 20 layers of layer_shapes, forward and backward
    memory     peak memory of processes that train T4
    start      import, and `fastcnn train` with a cold and with a warm cache of compiled kernels

Each library runs in a process of its own (their thread pools disturb each other), one at a time, in alternating pairs
(pairs.py). PyTorch gets its best setting: memory that is not given back to the system between steps (fresh pages are dear),
channels_last or not, fused Adam or not, eager or compiled, for inference compiled with frozen weights too, for one picture one
thread too; the fastest in a first round is what the pairs are run with. The ratio of a pair is torch's time over ours; tables
show medians over the pairs. The machine should have nothing else to do: a pair that was disturbed is measured again, and the
table says so where that did not help. --torch-python names a Python that has torch (default: this one). Writes NAME.json and
NAME.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, astuple
from itertools import product
from pathlib import Path
from typing import Any

from fastcnn.utils.files import write_atomically

from .layer_shapes import LAYER_SHAPES, LayerShape
from .pairs import QUIET, ROOT, Row, Sample, Worker, WorkerError, compare

KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "67108864",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
NETWORKS = {"t3": ("T3", 64), "t4": ("T4", 128)}
MILLISECONDS = {"network": 300.0, "layer": 50.0}
"""How long a measurement lasts, at least: the median of so many calls is one number of a pair."""
MEMORY_STEPS = 10
COLD_STARTS = 3
AGREEMENT = 1e-4
"""Largest difference of the two sides' results, as a share of the largest element: Winograd's own error is a tenth of that."""

METHOD = (
    "Medians over alternating pairs of measurements, each library in a process of its own; in brackets the lowest and the "
    "highest pair. PyTorch runs in the fastest of its settings (channels_last or not, fused Adam or not, eager or compiled, "
    "frozen weights for inference, one thread for one picture) and keeps its memory between steps. A measurement is the median "
    f"of as many calls as fill {MILLISECONDS['network']:.0f} ms, of a layer {MILLISECONDS['layer']:.0f} ms."
)

Setting = dict[str, Any]
Options = argparse.Namespace


class Bench:
    """The two workers, and how they are asked."""

    def __init__(self, options: Options):
        self.options = options
        count = str(options.threads)
        self.threads = {"OMP_NUM_THREADS": count, "FASTCNN_NUM_THREADS": count}
        self.ours = self.our_worker()
        self.theirs = self.their_worker(KEEP_MEMORY)

    def our_worker(self) -> Worker:
        """A process for fastcnn."""
        return Worker(sys.executable, "worker_fastcnn", self.threads, self.options.limit)

    def their_worker(self, environment: Mapping[str, str]) -> Worker:
        """A process for PyTorch; compiling in it starts no further processes that stay."""
        variables = {**self.threads, **environment, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        return Worker(self.options.torch_python, "worker_torch", variables, self.options.limit)

    def __enter__(self) -> "Bench":
        return self

    def __exit__(self, *error: object) -> None:
        self.ours.end()
        self.theirs.end()

    def settings(self, inference: bool, fused: Sequence[bool] = (), threads: Sequence[int] = ()) -> list[Setting]:
        """PyTorch's settings for a task."""
        modes = ["eager"] if not self.options.compile else ["eager", "compiled", *(["frozen"] if inference else [])]
        axes: dict[str, Sequence[Any]] = {"channels_last": (False, True), "mode": modes}
        axes |= {"fused": fused} if fused else {}
        axes |= {"threads": threads} if threads else {}
        return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]

    def compare(self, row: Row, settings: list[Setting], do: str, **request: Any) -> Row:
        """Ask both workers for the same; an error becomes the row's."""

        def asked(worker: Worker, **more: Any) -> Callable[[], Sample]:
            return lambda: worker.measure(do, **request, **more, milliseconds=MILLISECONDS[do])

        try:
            self.theirs.ask("forget")
            theirs = {named(setting): asked(self.theirs, setting=setting) for setting in settings}
            return compare(row, asked(self.ours), theirs, self.options.pairs)
        except WorkerError as error:
            row.error = str(error)
            return row


def named(setting: Setting) -> str:
    """A setting in words."""
    words = [setting["mode"], "channels_last" if setting["channels_last"] else "channels first"]
    words += ["fused Adam"] if setting.get("fused") else []
    words += [f"{setting['threads']} threads" if setting["threads"] > 1 else "1 thread"] if "threads" in setting else []
    return ", ".join(words)


# ------ sections


def networks(bench: Bench, section: str) -> Iterator[Row]:
    """Training step and inference of one network."""
    network, batch = NETWORKS[section]
    request = dict(network=network, batch=batch)
    step = Row(f"{network} training step, batch {batch}", "ms")
    yield bench.compare(step, bench.settings(False, fused=(False, True)), "network", **request, mode="step")
    infer = Row(f"{network} inference, batch {batch}", "ms")
    yield bench.compare(infer, bench.settings(True), "network", **request, mode="infer")


def latency(bench: Bench) -> Iterator[Row]:
    """One picture, from the call to the answer."""
    settings = bench.settings(True, threads=sorted({1, bench.options.threads}))
    yield bench.compare(Row("T3, one picture", "ms"), settings, "network", network="T3", batch=1, mode="infer")


def layers(bench: Bench) -> Iterator[Row]:
    """Forward, then backward, of every layer, once both sides were seen to compute the same."""
    for shape in LAYER_SHAPES:
        if bench.options.layers not in shape.name:
            continue
        row = Row(shape.name, "ms", error=disagreement(bench, shape))
        if row.error:
            yield row
            continue
        for mode in ("forward", "backward"):
            row = Row(shape.name, "ms", remark=mode)
            yield bench.compare(row, bench.settings(False), "layer", shape=astuple(shape), mode=mode)


def disagreement(bench: Bench, shape: LayerShape) -> str:
    """What differs between the results of both sides; empty if nothing does."""
    try:
        bench.theirs.ask("forget")
        ours, theirs = (worker.ask("sample", shape=astuple(shape)) for worker in (bench.ours, bench.theirs))
    except WorkerError as error:
        return str(error)
    if ours.keys() != theirs.keys():
        return f"fastcnn computes {sorted(ours)}, PyTorch {sorted(theirs)}"
    errors = {
        name: max(abs(a - b) for a, b in zip(ours[name], theirs[name], strict=True)) / max(map(abs, theirs[name]))
        for name in ours
    }
    return ", ".join(f"{name} differs by {error:.1e}" for name, error in errors.items() if not error < AGREEMENT)


def memory(bench: Bench) -> Iterator[Row]:
    """Peak memory of fresh processes; of PyTorch's settings the leanest, with and without the memory that is kept."""
    network, batch = NETWORKS["t4"]
    request = dict(network=network, batch=batch, steps=MEMORY_STEPS)

    def peak(worker: Callable[[], Worker], **setting: Any) -> Sample:
        with worker() as process:
            return process.ask("memory", **request, **setting), 0.0

    theirs = {}
    for kept, channels_last in product((False, True), (False, True)):
        setting = {"channels_last": channels_last, "mode": "eager", "fused": False}
        environment = KEEP_MEMORY if kept else {}
        name = f"{named(setting)}, {'keeps memory' if kept else 'gives memory back'}"
        theirs[name] = lambda e=environment, s=setting: peak(lambda: bench.their_worker(e), setting=s)
    row = Row(f"{network} training, batch {batch}, peak memory", "MB", remark=f"after {MEMORY_STEPS} steps")
    try:
        yield compare(row, lambda: peak(bench.our_worker), theirs, bench.options.pairs)
    except WorkerError as error:
        row.error = str(error)
        yield row


def start(bench: Bench) -> Iterator[Row]:
    """Wall time of whole processes, of fastcnn as `pip install .` leaves it: extras take time to import too."""
    with tempfile.TemporaryDirectory() as folder:
        programs, pairs = installed(Path(folder) / "environment"), bench.options.pairs
        ours, theirs = [programs / "python", "-c", "import fastcnn"], [bench.options.torch_python, "-c", "import torch"]
        yield compare(Row("Python, and import of the library", "s"), lambda: timed(ours), {"": lambda: timed(theirs)}, pairs)

        def train(cache: str) -> Sample:
            environment = {**bench.threads, "FASTCNN_CACHE": cache}
            return timed([programs / "fastcnn", "train", "--out", tempfile.mkdtemp(dir=folder)], environment)

        cold = Row("fastcnn train, cold cache", "s", remark="the bundled digits, 25 epochs, no extras installed")
        yield compare(cold, lambda: train(tempfile.mkdtemp(dir=folder)), {}, min(pairs, COLD_STARTS))
        warm = Row("fastcnn train, warm cache", "s", remark=cold.remark)
        cache = tempfile.mkdtemp(dir=folder)
        yield compare(warm, lambda: train(cache), {}, pairs)


def installed(environment: Path) -> Path:
    """The folder of programs of a new virtual environment with fastcnn and what it requires."""
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run([environment / "bin" / "pip", "install", "--quiet", ROOT], check=True)
    return environment / "bin"


def timed(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Sample:
    """Seconds until a process has ended well."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "PYTHONPATH")}
    variables, folder = {**kept, **(environment or {})}, tempfile.gettempdir()
    began = time.perf_counter()
    subprocess.run(command, env=variables, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began, 0.0


SECTIONS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "t3": lambda bench: networks(bench, "t3"),
    "t4": lambda bench: networks(bench, "t4"),
    "latency": latency,
    "layers": layers,
    "memory": memory,
    "start": start,
}


# ------ what it was measured on


def about(bench: Bench) -> dict[str, Any]:
    """Hardware, versions and settings."""
    options = bench.options
    return {
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "commit": commit(),
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_GB": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "system": platform.platform(),
        "load": os.getloadavg(),
        "threads": options.threads,
        "pairs": options.pairs,
        "milliseconds": MILLISECONDS,
        "fastcnn": bench.ours.ask("about"),
        "torch": bench.theirs.ask("about"),
        "environment": {"both": bench.threads, "torch": KEEP_MEMORY},
    }


def processor() -> str:
    """The name of this machine's processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def commit() -> str:
    """The checkout's commit, with a + where files differ from it; empty outside of a checkout."""
    try:
        told = [
            subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "--short", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return ""
    return told[0] + ("+" if told[1] else "")


# ------ tables


def markdown(sections: dict[str, Any]) -> str:
    """Tables of all sections, each kind under what it was measured on."""
    parts = []
    for title, names, table in (
        ("Networks", ("t3", "t4", "latency"), _plain_table),
        ("Layers", ("layers",), _layer_table),
        ("Memory and start", ("memory", "start"), _plain_table),
    ):
        present = [sections[name] for name in names if name in sections]
        if present:
            rows = [Row(**row) for section in present for row in section["rows"]]
            basis = dict.fromkeys(_basis(section["about"]) for section in present)
            parts += [f"## {title}", *basis, "\n".join(table(rows)), *_remarks(rows)]
    return "\n\n".join([*parts, METHOD]) + "\n"


def _basis(told: dict[str, Any]) -> str:
    ours, theirs = told["fastcnn"], told["torch"]
    at = f" at {told['commit']}" if told["commit"] else ""
    return (
        f"{told['processor']}, {told['threads']} threads; fastcnn {ours['fastcnn']}{at}, numba {ours['numba']}, "
        f"Python {ours['Python']}; torch {theirs['torch']}; float32; {told['date'][:10]}."
    )


def _plain_table(rows: list[Row]) -> Iterator[str]:
    unit = "ms" if {row.unit for row in rows} == {"ms"} else ""
    comma = f", {unit}" if unit else ""
    yield f"| task | fastcnn{comma} | PyTorch{comma} | ratio (lowest to highest pair) | PyTorch setting |"
    yield "| --- | --- | --- | --- | --- |"
    for row in rows:
        told = f"{row.task} ({row.remark})" if row.remark else row.task
        suffix = "" if unit else f" {row.unit}"
        yield f"| {told} | {_median(row.ours, suffix)} | {_median(row.theirs, suffix)} | {_spread(row)} | {row.setting} |"


def _median(values: list[float], suffix: str = "") -> str:
    return f"{statistics.median(values):.{3 if statistics.median(values) < 1 else 2}f}{suffix}" if values else "-"


def _spread(row: Row) -> str:
    if row.error:
        return "failed"
    if not row.theirs:
        return f"{min(row.ours):.2f} to {max(row.ours):.2f}, {len(row.ours)} runs"
    ratios = row.ratios()
    return f"**{row.ratio():.2f}x** ({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} pairs)"


def _layer_table(rows: list[Row]) -> Iterator[str]:
    directions = (f"{mode}, ms: fastcnn, PyTorch | ratio" for mode in ("forward", "backward"))
    yield f"| layer | shape | GFLOP | {' | '.join(directions)} | PyTorch settings |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for shape in LAYER_SHAPES:
        found = {row.remark: row for row in rows if row.task == shape.name and row.ours}
        if not found:
            continue
        cells = [f"{_median(r.ours)}, {_median(r.theirs)} | {_short_spread(r)}" for r in _directions(found)]
        name = shape.name if shape.input_gradient else f"{shape.name} *"
        settings = "; ".join(dict.fromkeys(row.setting for row in found.values()))
        yield f"| {name} | {shape} | {shape.flops('forward') / 1e9:.2f} | {' | '.join(cells)} | {settings} |"


def _directions(found: dict[str, Row]) -> list[Row]:
    return [found.get(mode, Row("", "ms", error="failed")) for mode in ("forward", "backward")]


def _short_spread(row: Row) -> str:
    return f"**{row.ratio():.2f}x** ({min(row.ratios()):.2f} to {max(row.ratios()):.2f})" if row.theirs else "failed"


def _remarks(rows: list[Row]) -> list[str]:
    """Verdicts, failures and disturbances, each where there are any."""
    found = [_verdict([row for row in rows if row.remark == mode], mode) for mode in ("forward", "backward")]
    if any(found):
        found.append(
            "Backward is the gradients of input, weights and bias from a given dy, without activation, loss or optimizer. "
            "\\* A network's first layer: without the gradient of the input, on both sides. Images and gradients are in memory "
            "in each library's own layout; both sides pack or transform their weights anew in every call, as training must."
        )
    found += [f"Failed: {row.task} {row.remark}: {row.error}." for row in rows if row.error]
    unquiet = [max(row.others) for row in rows if row.others and max(row.others) > QUIET]
    if unquiet:
        during = f"{max(unquiet):.1f} processors during {len(unquiet)} of {len(rows)} tasks"
        found.append(f"**The machine was not quiet**: other work took up to {during}.")
    return [line for line in found if line]


def _verdict(rows: list[Row], mode: str) -> str:
    rows = [row for row in rows if row.theirs]
    if not rows:
        return ""
    slower = [f"{row.task} ({row.ratio():.2f}x)" for row in rows if row.ratio() < 1]
    faster = sum(row.ratio() >= 1.5 for row in rows)
    told = f"slower: {len(slower)}" + (f", {', '.join(slower)}" if slower else "")
    median = statistics.median(row.ratio() for row in rows)
    return f"{mode.capitalize()}, {len(rows)} layers: median ratio {median:.2f}x; at least 1.5x: {faster}; {told}."


# ------ the command


def main() -> None:
    options = arguments()
    file = options.out.with_suffix(".json")
    sections = json.loads(file.read_text()) if file.exists() else {}
    with Bench(options) as bench:
        for name in options.only:
            sections[name] = {"about": about(bench), "rows": []}
            for row in SECTIONS[name](bench):
                report(row)
                sections[name]["rows"].append(asdict(row))
                write(options.out, sections)
    print(markdown(sections))


def arguments() -> Options:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch-python", default=sys.executable, metavar="PYTHON")
    parser.add_argument("--only", default=",".join(SECTIONS), metavar="SECTIONS", help="some of " + ",".join(SECTIONS))
    parser.add_argument("--layers", default="", metavar="TEXT", help="only layers whose name contains this")
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="leave out torch.compile")
    parser.add_argument("--limit", type=float, default=300, help="seconds that one measurement, with compiling, may take")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "versus-torch-cpu")
    options = parser.parse_args()
    options.only = options.only.split(",")
    unknown = set(options.only).difference(SECTIONS)
    if unknown:
        parser.error(f"--only: {', '.join(sorted(unknown))} is none of {','.join(SECTIONS)}")
    if options.pairs < 1 or options.threads < 1:
        parser.error("--pairs and --threads must be at least 1")
    return options


def report(row: Row) -> None:
    """One line to standard error while the work goes on."""
    result = row.error or _spread(row).replace("**", "")
    other = f"; other work up to {max(row.others):.1f} processors" if row.others and max(row.others) > QUIET else ""
    print(f"{row.task} {row.remark}: {result} {row.setting}{other}", file=sys.stderr, flush=True)


def write(out: Path, sections: dict[str, Any]) -> None:
    """NAME.json and NAME.md."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out.with_suffix(".json"), (json.dumps(sections, indent=1) + "\n").encode())
    write_atomically(out.with_suffix(".md"), markdown(sections).encode())


if __name__ == "__main__":
    main()
