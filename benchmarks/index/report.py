"""Tables and plots of what a run found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.index.systems import GROWING

Found = dict[str, Any]


def write(found: Found, folder: Path) -> None:
    """Write `tables.md` and the plots into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_summary(found), _searches(found["real"]), _quality(found), _growth(found)]
    (folder / "tables.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    _plot_latency(found["real"], folder / "recall-latency.svg")
    _plot_growth(found, folder / "growth.svg")


def _summary(found: Found) -> str:
    """Size, time to build and to open, and memory."""
    rows = []
    for name, entry in found["real"].items():
        built = entry["build"]
        if "failed" in built:
            rows.append([name, built["failed"], "", "", "", ""])
            continue
        memory = entry.get("memory", {})
        rows.append(
            [
                name,
                _seconds(built["seconds"]),
                f"{built['bytes'] / built['tokens']:.1f}",
                f"{entry['2 threads']['open_ms']:.0f} ms",
                _megabytes(memory.get("rss_open", 0) - memory.get("rss_before", 0)),
                _megabytes(memory.get("rss_after", 0) - memory.get("rss_before", 0)),
            ]
        )
    return _table(["system", "build", "bytes a token", "open", "memory: open", "after 1,000 searches"], rows)


def _searches(real: Found) -> str:
    """Recall and latency of every setting."""
    rows = []
    for name, entry in real.items():
        for setting, two in entry.get("2 threads", {}).get("settings", {}).items():
            one = entry["1 threads"]["settings"][setting]
            rows.append(
                [
                    name,
                    setting,
                    f"{two['recall@10']:.3f}",
                    f"{two['p50_ms']:.1f} / {two['p95_ms']:.1f}",
                    f"{one['p50_ms']:.1f} / {one['p95_ms']:.1f}",
                ]
            )
    return _table(["system", "setting", "recall@10", "2 threads: p50 / p95 ms", "1 thread"], rows)


def _quality(found: Found) -> str:
    """Quality on judged questions."""
    rows = []
    for name, by_bits in found["quality"].items():
        exact = by_bits["16"]["exact"]["ndcg@10"]
        row = [name, f"{exact:.4f}"]
        for nbits in ("4", "2", "1"):
            score = by_bits[nbits]["balanced"]["ndcg@10"]
            row.append(f"{score:.4f} ({100 * (score / exact - 1):+.1f} %)")
        rows.append(row)
    return _table(["nDCG@10, `balanced`", "float16, exact", "4 bits", "2 bits", "1 bit"], rows)


def _growth(found: Found) -> str:
    """How our index grows."""
    rows = []
    for count, entry in _windows(found):
        ours = entry[GROWING]
        balanced = ours["2 threads"]["settings"]["balanced"]
        built, memory = ours["build"], ours["memory"]
        rows.append(
            [
                f"{count:,}",
                f"{built['tokens'] / 1e6:.1f} M",
                _seconds(built["seconds"]),
                f"{built['bytes'] / built['tokens']:.1f}",
                f"{ours['2 threads']['open_ms']:.0f} ms",
                f"{balanced['p50_ms']:.1f} / {balanced['p95_ms']:.1f}",
                f"{balanced['recall@10']:.3f}",
                f"{(memory['rss_after'] - memory['rss_before']) / built['bytes']:.2f}",
            ]
        )
    head = ["windows", "tokens", "build", "bytes a token", "open", "p50 / p95 ms", "recall@10", "memory / files"]
    return _table(head, rows)


def _windows(found: Found) -> list[tuple[int, Found]]:
    return sorted((int(key.split()[1]), entry) for key, entry in found.items() if key.startswith("windows"))


def _plot_latency(real: Found, file: Path) -> None:
    """Draw recall against latency, a line for each system."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for name, entry in real.items():
        settings = entry.get("2 threads", {}).get("settings", {}).values()
        if points := [(one["p50_ms"], one["recall@10"]) for one in settings]:
            style = {"linewidth": 2.2} if name.startswith("ours") else {"linewidth": 1, "linestyle": "--"}
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, label=name, **style)
    axes.set(xscale="log", xlabel="milliseconds a search, median, 2 threads", ylabel="recall of the exact ten best")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(file)


def _plot_growth(found: Found, file: Path) -> None:
    """Draw latency against size, beside what would be proportional."""
    from matplotlib.figure import Figure

    points = [
        (count, entry[GROWING]["2 threads"]["settings"]["balanced"]["p50_ms"]) for count, entry in _windows(found)
    ]
    counts, times = zip(*points, strict=True)
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(counts, times, marker="o", linewidth=2.2, label="2 bits, balanced")
    axes.plot(counts, [times[0] * count / counts[0] for count in counts], "--", label="proportional")
    axes.set(xscale="log", yscale="log", xlabel="passages", ylabel="milliseconds a search, median, 2 threads")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    figure.savefig(file)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.0f} MB" if size else ""
