"""Figures as elements of the page.

The colors become the page's own (so that dark mode works), the fonts too, and every id has a prefix
(so that many figures can stand on one page).
"""

import hashlib
import re
import xml.etree.ElementTree as ET

from markupsafe import Markup
from matplotlib.figure import Figure

from deltatune.report import upstream
from deltatune.report.figures.style import (
    BASE,
    INK,
    LOSS,
    MUTED,
    PAPER,
    RULE,
    SAME,
    TRAIN,
    TUNED,
)
from deltatune.report.figures.svg import svg_bytes
from deltatune.report.text import brief
from deltatune.report.upstream import SVG

# The page's name for each color; the fallback keeps a figure whole outside the page.
VARIABLES = {
    INK: "currentColor",
    MUTED: f"var(--muted, {MUTED})",
    RULE: f"var(--rule, {RULE})",
    SAME: f"var(--same, {SAME})",
    BASE: f"var(--base, {BASE})",
    TRAIN: f"var(--train, {TRAIN})",
    TUNED: f"var(--tuned, {TUNED})",
    LOSS: f"var(--loss, {LOSS})",
    PAPER: f"var(--card, {PAPER})",
}
XLINK = "http://www.w3.org/1999/xlink"


def to_svg(
    figure: Figure,
    title: str = "",
    description: str = "",
    prefix: str | None = None,
    only: str = "",
) -> str:
    """The figure as an <svg> element for the page.

    title:  its name, in a few words
    description: what it shows, in words, for those who cannot see it
    only:   "wide" or "narrow", where it is drawn for such pages alone
    prefix: begins every id; by default the digest of the figure and its title, so that different
            figures cannot clash (the same one twice on a page needs prefixes of its own)
    """
    source = svg_bytes(figure)
    if prefix is None:
        digest = hashlib.sha256(source + f"{title}\n{description}".encode())
        prefix = f"f{digest.hexdigest()[:10]}"
    root = ET.fromstring(source)
    for child in root.findall(f"{{{SVG}}}metadata"):
        root.remove(child)
    upstream.remove_style_sheet(root)
    for parent in root.iter():
        for child in parent.findall(f"{{{SVG}}}g"):
            if _is_empty_background(child):
                parent.remove(child)
    width, height = (float(size) for size in root.get("viewBox").split()[2:])
    root.attrib.clear()
    root.attrib.update(
        {
            "viewBox": f"0 0 {width:g} {height:g}",
            "width": f"{width * 4 / 3:.0f}",
            "height": f"{height * 4 / 3:.0f}",
            "role": "img",
            "stroke-linejoin": "round",
            "stroke-linecap": "butt",
        }
    )
    referenced = {
        name
        for element in root.iter()
        for value in element.attrib.values()
        for name in re.findall(r"#([\w.-]+)", value)
    }
    for element in root.iter():
        _rewrite(element, referenced, prefix)
    if only:
        root.set("class", f"{only}-page")
    _describe(root, prefix, title, description)
    _strip_namespaces(root)
    return ET.tostring(root, encoding="unicode")


def _describe(root: ET.Element, prefix: str, title: str, description: str) -> None:
    """Name and description, for screen readers."""
    texts = [("title", title, "aria-labelledby"), ("desc", description, "aria-describedby")]
    for place, (tag, text, attribute) in enumerate(texts):
        if text:
            element = ET.Element(f"{{{SVG}}}{tag}", {"id": f"{prefix}-{tag}"})
            element.text = brief(text)
            root.insert(min(place, len(root)), element)
            root.set(attribute, f"{prefix}-{tag}")


def _is_empty_background(group: ET.Element) -> bool:
    paths = list(group)
    return (
        (group.get("id") or "").startswith("patch_")
        and len(paths) == 1
        and re.fullmatch(r"fill: none(; opacity: [\d.]+)?", paths[0].get("style") or "") is not None
    )


def _rewrite(element: ET.Element, referenced: set[str], prefix: str) -> None:
    """Ids, colors, fonts and numbers of one element, in place."""
    name = element.get("id")
    if name is not None:
        if name in referenced:
            element.set("id", f"{prefix}-{name}")
        else:
            del element.attrib["id"]
    for key, value in list(element.attrib.items()):
        value = re.sub(r"url\(#([\w.-]+)\)", rf"url(#{prefix}-\1)", value)
        if key == f"{{{XLINK}}}href":
            del element.attrib[key]
            key, value = "href", value.replace("#", f"#{prefix}-", 1)
        if key == "style":
            value = _style(value, element.tag == f"{{{SVG}}}text")
        elif key == "d":
            value = " ".join(re.sub(r"-?\d+\.\d+", _shorter, value).split())
        elif key in ("x", "y", "transform", "width", "height"):
            value = re.sub(r"-?\d+\.\d+", _shorter, value)
        if key == "transform" and value.startswith("rotate(-0 "):
            element.attrib.pop(key, None)
            continue
        element.set(key, value)
    if element.text is not None and not element.text.strip():
        element.text = None
    if element.tail is not None and not element.tail.strip():
        element.tail = None


def _style(value: str, is_text: bool) -> str:
    for color, variable in VARIABLES.items():
        value = value.replace(color, variable)
    if is_text:
        # The page's own sans serif, whose figures are all of one width.
        value = re.sub(r"font-family: [^;]*;?\s*", "", value)
        value = re.sub(r"font: (?:(\w+) )?([\d.]+px) [^;]*", _font, value)
    return value.strip().rstrip(";")


def _font(match: re.Match) -> str:
    weight = f"font-weight: {match.group(1)}; " if match.group(1) else ""
    return f"{weight}font-size: {match.group(2)}"


def _shorter(match: re.Match) -> str:
    return f"{float(match.group()):.2f}".rstrip("0").rstrip(".")


def _strip_namespaces(root: ET.Element) -> None:
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]


def view(figure: Figure, title: str, description: str, prefix: str, caption: str = "") -> dict:
    """A figure with its caption, as a template takes it."""
    return {"svg": Markup(to_svg(figure, title, description, prefix)), "caption": caption}
