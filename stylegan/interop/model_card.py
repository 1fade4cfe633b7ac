"""Model card: README.md beside the weights, in the form of the Hugging Face Hub, of facts alone.

The front matter is YAML; the rest is Markdown, in which every text from outside is escaped: names of classes, files and
data come from strangers.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from stylegan.machine.text import printable, some
from stylegan.version import __version__

LIBRARY = "stylegan-lightning"
# Identifiers that the Hub knows; every other text is the name of a licence of one's own there.
_KNOWN_LICENSES = frozenset(
    (
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0"),
        *(
            "cc0-1.0",
            "cc-by-3.0",
            "cc-by-4.0",
            "cc-by-sa-3.0",
            "cc-by-sa-4.0",
            "cc-by-nd-4.0",
            "cc-by-nc-3.0",
        ),
        *("cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "pddl"),
        *("openrail", "openrail++", "creativeml-openrail-m", "unlicense", "wtfpl", "artistic-2.0", "unknown"),
    )
)
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+!|~$:@-])")
_MOST_CLASSES = 50


@dataclass(frozen=True)
class CardFile:
    """A file of weights beside the card.

    Args: name: of the file. holds: the network in it, in words. num_parameters: of it. sha256: of its weights.
    """

    name: str
    holds: str
    num_parameters: int
    sha256: str


@dataclass(frozen=True)
class CardScore:
    """One score.  Args: name: of the result. value: as text. kimg: as text, "" = unknown. protocol: in words."""

    name: str
    value: str
    kimg: str
    protocol: str


@dataclass(frozen=True)
class ModelCard:
    """What a card says; what is unknown is left out, and nothing is guessed.

    Args:
        title: of the page.
        files: the weights.
        network, data, training: rows of the tables, fact → its value.
        has_labels: whether it draws by class. label_names: of the classes.
        scores: of exactly these weights.
        license: of the weights, as the user or their source states it; None = not stated.
        repository: `user/name` on the Hub; None = not known yet.
        preview: the picture's file; None = there is none. preview_text: what it shows.
    """

    title: str
    files: Sequence[CardFile]
    network: Mapping[str, str]
    data: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, str] = field(default_factory=dict)
    has_labels: bool = False
    label_names: Sequence[str] = ()
    scores: Sequence[CardScore] = ()
    license: str | None = None
    repository: str | None = None
    preview: str | None = None
    preview_text: str = ""

    def text(self) -> str:
        """The whole README.md."""
        parts = [
            f"---\n{_front_matter(self.license)}---",
            f"# {escaped(self.title)}",
            *self._preview(),
            *self._how_to_load(),
            "## Network\n\n" + _table(("", ""), self.network.items()),
            *self._classes(),
            "## Data\n\n" + _rows_or(self.data, "What the network learned from is not recorded."),
            "## Training\n\n" + _rows_or(self.training, "How it was trained is not recorded."),
            *self._scores(),
            "## Licence\n\n" + self._licence(),
            *self._files(),
            f"Written by {LIBRARY} {__version__} from what the files and records of the run say.",
        ]
        return "\n\n".join(parts) + "\n"

    def _preview(self) -> list[str]:
        if self.preview is None:
            return []
        return [f"![{escaped(self.preview_text)}]({self.preview})", f"{escaped(self.preview_text)}."]

    def _how_to_load(self) -> list[str]:
        place = f"hf://{self.repository}" if self.repository else "."
        first = "" if self.repository else " in this folder"
        code = [
            "import torch",
            "import stylegan",
            "",
            f'generator = stylegan.load_generator("{place}")',
            "z = torch.randn(4, generator.z_dim)",
        ]
        if self.has_labels:
            code += ["c = torch.eye(generator.c_dim)[[0] * 4]  # four of the first class"]
            code += ["images = generator(z, c, truncation=0.7)  # [4, C, H, W], nominally -1 to 1"]
        else:
            code += ["images = generator(z, truncation=0.7)  # [4, C, H, W], nominally -1 to 1"]
        command = f"stylegan-generate network={place} seeds=0-15 truncation=0.7 out=generated"
        extra = "[hub]" if self.repository else ""
        return [
            f"## How to load\n\nWith {LIBRARY} (`pip install '{LIBRARY}{extra}'`){first}; nothing in the files is"
            " executed:",
            "```python\n" + "\n".join(code) + "\n```",
            f"```\n{command}\n```",
        ]

    def _classes(self) -> list[str]:
        if not self.label_names:
            return []
        names = [escaped(name) for name in self.label_names[:_MOST_CLASSES]]
        rest = len(self.label_names) - len(names)
        more = f" and {rest} more, in the file's metadata" if rest else ""
        return [f"Classes, in the order of the label: {', '.join(names)}{more}."]

    def _scores(self) -> list[str]:
        if not self.scores:
            return ["## Scores\n\nNo score of these weights is recorded."]
        rows = [(score.name, score.value, score.kimg, score.protocol) for score in self.scores]
        return [
            "## Scores\n\nOf exactly these weights. Numbers of different protocols, or of other data, do not compare.",
            _rows_table(("score", "value", "kimg", "protocol"), rows),
        ]

    def _licence(self) -> str:
        if self.license is None:
            return (
                "The licence of these weights is not stated. Ask whoever published them before you use them."
            )
        return f"Of the weights: {escaped(self.license)}."

    def _files(self) -> list[str]:
        rows = [
            (f"`{file.name}`", file.holds, f"{file.num_parameters:,}", f"`{file.sha256}`")
            for file in self.files
        ]
        heads = ("file", "network", "parameters", "SHA-256 of the weights")
        lines = [_line(heads), _line(["---"] * 4), *(_line(row) for row in rows)]
        return ["## Files\n\n" + "\n".join(lines)]


def escaped(text: str) -> str:
    """Text from outside as one line of Markdown that shows it as it is: no markup, no HTML, no control characters."""
    return _MARKUP.sub(r"\\\1", html.escape(printable(str(text)), quote=False))


def license_fields(text: str | None) -> dict[str, str]:
    """The front matter's lines of a licence: its identifier, or `other` and its name."""
    if text is None:
        return {"license": "unknown"}
    if text.lower() in _KNOWN_LICENSES:
        return {"license": text.lower()}
    return {"license": "other", "license_name": printable(text)}


def classes_in_words(names: Sequence[str], width: int) -> str:
    """`3 (cat, dog, fox)`, or the width alone."""
    return f"{width} ({some(list(names), 8)})" if names else f"{width}, without names"


def _front_matter(license: str | None) -> str:
    values = {
        **license_fields(license),
        "library_name": LIBRARY,
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["stylegan2-ada", "stylegan2", "gan", "image-generation"],
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1000)


def _rows_or(rows: Mapping[str, str], otherwise: str) -> str:
    return _table(("", ""), rows.items()) if rows else otherwise


def _table(heads: Sequence[str], rows) -> str:
    return _rows_table(heads, list(rows))


def _rows_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    body = [_line([escaped(cell) for cell in row]) for row in rows]
    return "\n".join([_line(heads), _line(["---"] * len(heads)), *body])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
