"""What a run found: a line for the terminal, and JSON, a Markdown table and a picture for the README."""

import html
import json
import os

PEERS = ("nginx", "haproxy", "nghttpx")
UNITS = {"cpu_us": "us CPU", "p50_us": "us p50", "p99_us": "us p99", "bytes_each": "bytes"}


def best_peer(row, found):
    return min((name for name in found if name.startswith(PEERS)), key=lambda name: found[name][row.figure])


def ratio(row, found):
    return found[best_peer(row, found)]["ratio"]


def figure(row, values):
    number = values[row.figure]
    text = f"{number:.0f}" if number >= 100 else f"{number:.1f}"
    return text + (f" ({values['failed']:.0f} failed)" if values["failed"] else "")


def line(row, found):
    each = "  ".join(f"{name} {figure(row, values)}" for name, values in found.items())
    if "before" in found:
        each += f"  of before: {found['before']['ratio']:.3f}"
    missed = "" if ratio(row, found) <= row.at_most else f"  OVER {row.at_most}"
    return f"{row.title:42} {ratio(row, found):5.2f}{missed:10}  {UNITS[row.figure]}: {each}"


def table(results):
    out = ["| | remora | nginx | HAProxy | nghttpx | floor | remora / best | at most |", "|---|---|---|---|---|---|---|---|"]
    for row, found in results:
        cells = [figure(row, found["remora"])]
        for peer in PEERS:
            ways = [name for name in found if name.startswith(peer)]
            if not ways:
                cells.append("")
                continue
            best = min(ways, key=lambda name: found[name][row.figure])
            cells.append(figure(row, found[best]) + ("" if best == peer else f" ({best.partition('-')[2]})"))
        floors = [name for name in found if name.startswith("floor")]
        cells.append(figure(row, min((found[name] for name in floors), key=lambda v: v[row.figure])) if floors else "")
        over = ratio(row, found) > row.at_most
        cells.append(f"{'' if over else '**'}{ratio(row, found):.2f}{'' if over else '**'}")
        out.append(f"| {row.title}, {UNITS[row.figure]} | {' | '.join(cells)} | {row.at_most:.2f} |")
    return "\n".join(out) + "\n"


def picture(results):
    """Bars of remora's figure divided by the best peer's; the line is the peer."""
    row_height, left, width = 26, 300, 420
    scale = width / max(1.3, *(min(ratio(*r), 2) for r in results))
    height = row_height * len(results) + 60
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 70} {height}" font-family="sans-serif" font-size="13">',
        f'<rect width="100%" height="100%" fill="#fff"/><text x="12" y="24" font-size="15" fill="#222">remora beside the best of nginx, HAProxy and nghttpx: less is better</text>',
    ]
    for i, (row, found) in enumerate(results):
        y, part = 40 + i * row_height, ratio(row, found)
        color = "#1a7f5a" if part <= row.at_most else "#c98a1b" if part <= 1 else "#b3402f"
        out.append(
            f'<text x="{left - 10}" y="{y + 15}" text-anchor="end" fill="#222">{html.escape(row.title)}</text>'
            f'<rect x="{left}" y="{y + 3}" width="{min(part, 2) * scale:.1f}" height="16" rx="2" fill="{color}"/>'
            f'<text x="{left + min(part, 2) * scale + 6:.1f}" y="{y + 15}" fill="#222">{part:.2f}</text>'
        )
    out.append(
        f'<line x1="{left + scale:.1f}" y1="34" x2="{left + scale:.1f}" y2="{height - 18}" stroke="#222" stroke-dasharray="3 3"/>'
        f'<text x="{left + scale:.1f}" y="{height - 4}" text-anchor="middle" fill="#222">1.00: the best peer</text></svg>'
    )
    return "\n".join(out) + "\n"


def write(folder, results, options):
    os.makedirs(folder, exist_ok=True)
    rows = [
        {"name": row.name, "title": row.title, "figure": row.figure, "at_most": row.at_most, "ratio": ratio(row, found), "proxies": found}
        for row, found in results
    ]
    with open(f"{folder}/load.json", "w") as f:
        json.dump({"rounds": options.rounds, "seconds": options.seconds, "rows": rows}, f, indent=1)
        f.write("\n")
    with open(f"{folder}/load.md", "w") as f:
        f.write(table(results))
    with open(f"{folder}/load.svg", "w") as f:
        f.write(picture(results))
