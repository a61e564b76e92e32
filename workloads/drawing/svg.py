"""A diagram as an SVG document."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import pairwise
from typing import Final

from workloads.drawing.diagram import Diagram, Node
from workloads.drawing.layout import Layout, place

_ROW: Final = 56.0
_BOX: Final = 30.0
_RADIUS: Final = 11.0
_GAP: Final = 26.0
_LANE: Final = 12.0
_MARGIN: Final = 36.0
_HEADER: Final = 84.0
_LETTER: Final = 6.9  # mean width of a letter at 12 px, on the safe side
# fill and line of each shade, light to dark; more shades than colours begin anew
_COLOURS: Final = (
    ("#dbeafe", "#3b82f6"),
    ("#d1fae5", "#10b981"),
    ("#fef3c7", "#f59e0b"),
    ("#fce7f3", "#ec4899"),
    ("#ede9fe", "#8b5cf6"),
    ("#e0f2fe", "#0ea5e9"),
    ("#ffedd5", "#f97316"),
)
_PLAIN: Final = ("#f1f5f9", "#94a3b8")
_STYLE: Final = (
    "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#0f172a}"
    ".title{font-size:18px;font-weight:600}.quiet{fill:#64748b}.tag{font-weight:600;fill:#475569}"
    ".edge{fill:none;stroke:#64748b;stroke-width:1.4}"
    ".frame{fill:#f8fafc;stroke:#cbd5e1;stroke-width:1.2;stroke-dasharray:5 4}"
)


def document(diagram: Diagram) -> str:
    """Returns the diagram as one SVG document with a white ground and no references to anything outside."""
    widths = [_width(node) for node in diagram.nodes]
    rooms = [width + 2 * _tag(node.repeat) for node, width in zip(diagram.nodes, widths, strict=True)]
    layout = place(rooms, diagram.edges, gap=_GAP, lane=_LANE)
    left, right = _extent(layout, rooms)
    frames, right = _frames(diagram, layout, widths, right)
    header = max(_LETTER * len(diagram.subtitle), 11.0 * len(diagram.title), _legend_width(diagram.shades))
    width = max(right - left, header) + 2 * _MARGIN
    shift = (width - (right - left)) / 2 - left
    height = _HEADER + _ROW * (max(layout.rows, default=0) + 1) + _MARGIN
    body = [
        *frames,
        *(_edge(diagram, layout, *edge, route) for edge, route in _routed(diagram, layout)),
        *(_node(node, layout.xs[i], _y(layout.rows[i]), widths[i]) for i, node in enumerate(diagram.nodes)),
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'width="{width:.0f}" height="{height:.0f}" role="img">',
            f"<title>{escape(diagram.title)}</title>",
            f"<style>{_STYLE}</style>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" '
            'orient="auto"><path d="M0 0.8 7.5 4 0 7.2z" fill="#64748b"/></marker></defs>',
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            f'<text class="title" x="{_MARGIN:g}" y="34">{escape(diagram.title)}</text>',
            f'<text class="quiet" x="{_MARGIN:g}" y="54">{escape(diagram.subtitle)}</text>',
            *_legend(diagram.shades),
            f'<g transform="translate({shift:.1f} {_HEADER:g})">',
            *body,
            "</g>",
            "</svg>",
            "",
        ]
    )


def _width(node: Node) -> float:
    if node.kind == "sum":
        return 2 * _RADIUS if len(node.label) == 1 else _LETTER * len(node.label) + 14
    return max(_LETTER * len(node.label) + 22, 64.0)


def _tag(repeat: int) -> float:
    """Returns the room that "× 17" takes beside what it belongs to."""
    return 0.0 if repeat == 1 else 11 + _LETTER * len(f"× {repeat}")


def _y(row: int) -> float:
    return _ROW * row + _ROW / 2


def _extent(layout: Layout, widths: Sequence[float]) -> tuple[float, float]:
    sides = [(x - w / 2, x + w / 2) for x, w in zip(layout.xs, widths, strict=True)]
    sides += [(x, x) for route in layout.routes for x in route]
    return min(low for low, _ in sides), max(high for _, high in sides)


def _routed(diagram: Diagram, layout: Layout) -> list[tuple[tuple[int, int], tuple[float, ...]]]:
    return list(zip(diagram.edges, layout.routes, strict=True))


def _frames(
    diagram: Diagram, layout: Layout, widths: Sequence[float], right: float
) -> tuple[list[str], float]:
    """Returns the frames, outer ones first, and how far to the right their tags reach."""
    drawn = []
    for frame in sorted(diagram.frames, key=lambda each: -len(each.nodes)):
        inside = set(frame.nodes)
        lows = [layout.xs[i] - widths[i] / 2 for i in inside]
        highs = [layout.xs[i] + widths[i] / 2 for i in inside]
        first, last = min(layout.rows[i] for i in inside), max(layout.rows[i] for i in inside)
        for (source, target), route in _routed(diagram, layout):
            if target in inside:  # an edge that passes beside the frame's nodes is one of its ways
                begin = layout.rows[source] + 1
                passing = [x for row, x in enumerate(route, begin) if first <= row <= last]
                lows += passing
                highs += passing
        pad = 12.0
        x, y = min(lows) - pad, _y(first) - _BOX / 2 - 9
        w, h = max(highs) - min(lows) + 2 * pad, _ROW * (last - first) + _BOX + 18
        drawn.append(f'<rect class="frame" x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="9"/>')
        right = max(right, x + w)
        if frame.repeat > 1:
            drawn.append(
                f'<text class="tag" x="{x + w + 8:.1f}" y="{y + h / 2 + 4:.1f}">× {frame.repeat}</text>'
            )
            right = max(right, x + w + _tag(frame.repeat))
    return drawn, right


def _edge(diagram: Diagram, layout: Layout, source: int, target: int, route: Sequence[float]) -> str:
    """Returns a curve that is upright where it leaves, where it passes a row and where it arrives."""
    rows = range(layout.rows[source], layout.rows[target] + 1)
    points = list(zip((layout.xs[source], *route, layout.xs[target]), map(_y, rows), strict=True))
    x, y = points[-1]
    points[-1] = x, y - 1 - (_RADIUS if diagram.nodes[target].kind == "sum" else _BOX / 2)
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in pairwise(points):
        half = (y1 - y0) / 2
        path += (
            f"V{y1:.1f}"
            if abs(x1 - x0) < 0.05
            else f"C{x0:.1f} {y0 + half:.1f} {x1:.1f} {y1 - half:.1f} {x1:.1f} {y1:.1f}"
        )
    return f'<path class="edge" d="{path}" marker-end="url(#tip)"/>'


def _node(node: Node, x: float, y: float, width: float) -> str:
    fill, line = _PLAIN if node.shade is None else _COLOURS[node.shade % len(_COLOURS)]
    label = f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle">{escape(node.label)}</text>'
    if node.kind == "sum" and len(node.label) == 1:
        return (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_RADIUS:g}" fill="#ffffff" stroke="#64748b" '
            f'stroke-width="1.4"/>{label}'
        )
    height = 2 * _RADIUS if node.kind == "sum" else _BOX
    fill, line = ("#ffffff", "#64748b") if node.kind == "sum" else (fill, line)
    box = (
        f'x="{x - width / 2:.1f}" y="{y - height / 2:.1f}" width="{width:.1f}" height="{height:g}" '
        f'rx="{11 if node.kind != "layer" else 6}"'
    )
    shadows = ""
    if node.repeat > 1:  # a pile: the same box again behind it, and how often
        shadows = f'<rect {box} transform="translate(5 -5)" fill="{fill}" stroke="{line}" opacity="0.55"/>'
        label += f'<text class="tag" x="{x + width / 2 + 11:.1f}" y="{y + 4:.1f}">× {node.repeat}</text>'
    return f'{shadows}<rect {box} fill="{fill}" stroke="{line}" stroke-width="1.2"/>{label}'


def _legend_width(shades: Sequence[str]) -> float:
    return sum(_LETTER * len(each) + 40 for each in shades)


def _legend(shades: Sequence[str]) -> list[str]:
    drawn, x = [], _MARGIN
    for shade, text in enumerate(shades):
        fill, line = _COLOURS[shade % len(_COLOURS)]
        drawn.append(
            f'<rect x="{x:.1f}" y="66" width="14" height="14" rx="3" fill="{fill}" stroke="{line}"/>'
            f'<text class="quiet" x="{x + 20:.1f}" y="77">{escape(text)}</text>'
        )
        x += _LETTER * len(text) + 40
    return drawn
