"""A stamp as fields of a Hugging Face dataset card and of Croissant. What stands there already is kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from owlish.data.stamp import Stamp
from owlish.graph.errors import UserError

SIZES = ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"))
FRONT = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?\n?", re.DOTALL | re.MULTILINE)
OWN = re.compile(r"^owlish:.*\n(?:[ \t-].*\n|\n)*", re.MULTILINE)
"""The block of a front matter that is ours: its line, and the indented lines below it."""

CONFORMS = "http://mlcommons.org/croissant/1.1"
LACKING = ("license", "url", "creator", "datePublished")
"""What Croissant requires of a dataset and no stamp knows."""
# fmt: off
TERMS = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject",
    "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
    "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform",
)
# fmt: on
LANGUAGES = {"@container": "@language"}
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "description": LANGUAGES,
    "name": LANGUAGES,
    **{term: f"cr:{term}" for term in TERMS},
}
FORMATS = {".jsonl": "application/jsonlines", ".json": "application/json", ".csv": "text/csv", ".tsv": "text/tsv"}


def dataset_card(text: str, stamp: Stamp) -> str:
    """Return the text of a dataset card with a stamp in its front matter, under `owlish` and the name of the file.

    Fields of the Hub's own that a stamp knows are added where the card has none. Everything else stays as it is.
    """
    import yaml

    found = FRONT.match(text)
    front, rest = (found[1], text[found.end() :]) if found else ("", text)
    known = card_fields(front)
    own = known.get("owlish")
    claims = {name: value for name, value in stamp.json().items() if name != "file" and value not in (None, {})}
    stamps = {**(own if isinstance(own, dict) else {}), stamp.file: claims}
    size = next((name for most, name in SIZES if stamp.rows < most), "10M<n<100M")
    # Fields of the Hub's own.
    hub = {"language_creators": ["machine-generated"], "size_categories": [size], "tags": ["synthetic"]}
    added = {name: value for name, value in hub.items() if name not in known}
    block = yaml.safe_dump({**added, "owlish": stamps}, sort_keys=False, allow_unicode=True, width=10_000)
    # The rest of the front matter is kept as text: YAML would drop a user's comments and change the style.
    kept = OWN.sub("", front)
    return (
        f"---\n{kept}{block}---\n{rest}" if rest.strip() else f"---\n{kept}{block}---\n\n# {stamp.file}\n\n{stamp}.\n"
    )


def card_fields(front: str) -> dict[str, Any]:
    """Return the fields of a front matter."""
    import yaml

    try:
        known = yaml.safe_load(front) or {}  # never `load`, which may build any Python object
    except (yaml.YAMLError, RecursionError):
        known = None
    if not isinstance(known, dict):
        raise UserError("the front matter of the card is not YAML: fix the lines between its two ---.")
    return known


def croissant(text: str, stamp: Stamp) -> str:
    """Return a Croissant description with a stamped file in it: its hash, and its provenance in terms of PROV-O.

    An empty text becomes a new description, which lacks what no stamp knows (`LACKING`). Source: Croissant 1.1,
    sections on FileObject and on provenance.
    """
    said = {"name": Path(stamp.file).stem, "description": f"{stamp}."}
    new: dict[str, Any] = {"@context": dict(CONTEXT), "@type": "sc:Dataset", "conformsTo": CONFORMS, **said}
    known = parse_card(text) if text.strip() else new
    context = known.setdefault("@context", CONTEXT)
    if isinstance(context, dict):
        # A context may also be a list or a name, which are left alone.
        context.setdefault("prov", CONTEXT["prov"])
    others = known.get("distribution", [])
    others = others if isinstance(others, list) else [others]  # JSON-LD lets one file stand without a list
    kept = [one for one in others if not (isinstance(one, dict) and stamp.file in (one.get("@id"), one.get("name")))]
    # What somebody wrote of this file by hand stays, unless the stamp knows better.
    old: dict[str, Any] = next((one for one in others if one not in kept), {})
    known["distribution"] = [*kept, {**old, **file_object(stamp)}]
    return json.dumps(known, indent=2, ensure_ascii=False) + "\n"


def parse_card(text: str) -> dict[str, Any]:
    """Return the description that a text holds."""
    try:
        known = json.loads(text)
    except (ValueError, RecursionError):
        known = None
    if not isinstance(known, dict):
        raise UserError("the Croissant file is not a JSON object: give another, or a name that is not there.")
    return known


def file_object(stamp: Stamp) -> dict[str, Any]:
    """Return the description of a file."""
    used = {"base": stamp.base, "system prompt": stamp.prompt, "filter": stamp.filter, **stamp.seeds_named}
    known = {name: value for name, value in used.items() if value is not None}
    entities = [{"@type": "prov:Entity", "prov:label": name, "prov:value": value} for name, value in known.items()]
    if stamp.base and stamp.base_sha256:
        entities[0]["sha256"] = stamp.base_sha256  # the base is the first of `used`
    return {
        "@type": "cr:FileObject",
        "@id": stamp.file,
        "name": stamp.file,
        "description": f"{stamp}.",
        "contentUrl": stamp.file,
        "encodingFormat": FORMATS.get(Path(stamp.file).suffix, "application/octet-stream"),
        "sha256": stamp.sha256,
        "prov:wasAttributedTo": {"@type": "prov:SoftwareAgent", "prov:label": stamp.model},
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:label": "rows written by a language model",
            "prov:used": entities,
        },
    }
