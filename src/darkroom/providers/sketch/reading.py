"""What a prompt says, as far as Sketch understands it: a palette, a composition, what is in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.providers.sketch import vocabulary
from darkroom.providers.sketch.chance import Chance
from darkroom.providers.sketch.palette import Palette, lab


def _index(table: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """From `name: words` to `word: names`."""
    names: dict[str, set[str]] = {}
    for name, words in table.items():
        for word in words.split():
            names.setdefault(word, set()).add(name)
    return {word: frozenset(found) for word, found in names.items()}


_MOODS = _index(vocabulary.MOOD_PALETTES)
_SUBJECTS = _index(vocabulary.SUBJECT_PALETTES)
_FAMILIES = _index(vocabulary.FAMILIES)
_TRAITS = _index(vocabulary.TRAITS)
_PALETTES = {name: Palette.parse(codes) for name, codes in vocabulary.PALETTES.items()}
_COLOURS = {name: lab(code) for name, code in vocabulary.COLOURS.items()}
_KNOWN = frozenset().union(_MOODS, _SUBJECTS, _FAMILIES, _TRAITS, _COLOURS)


@dataclass(frozen=True)
class Reading:
    """`setting`: the palette of what surrounds a coloured thing, the mood's own where both are named.

    `family`: the composition's name. `traits`: names of `vocabulary.TRAITS`, and "coloured" if colours are named.
    """

    palette: Palette
    setting: Palette
    family: str
    traits: frozenset[str]


def read(prompt: str, chance: Chance) -> Reading:
    """Read a prompt; what it leaves open, `chance` decides."""
    words = [_singular(word) for word in re.findall(r"[^\W\d_]+", prompt.casefold())]
    traits = frozenset(name for word in words for name in _TRAITS.get(word, ()))
    if not _COLOURS.keys().isdisjoint(words):
        traits |= {"coloured"}
    family = _first(words, _FAMILIES) or chance.of("family").pick(tuple(vocabulary.FAMILIES))
    return Reading(*_palettes(words, chance.of("palette")), family, traits)


def _singular(word: str) -> str:
    """The word, or the known word that it is a plural of."""
    for form in (word, word.removesuffix("s"), word.removesuffix("es"), re.sub("ves$", "f", word)):
        if form in _KNOWN:
            return form
    return word


def _first(words: list[str], index: Mapping[str, frozenset[str]]) -> str | None:
    return next((min(index[word]) for word in words if word in index), None)


def _palettes(words: list[str], chance: Chance) -> tuple[Palette, Palette]:
    """The palette, and the setting's."""
    mood, subject = _first(words, _MOODS), _first(words, _SUBJECTS)
    base = _PALETTES[mood or subject or chance.pick(tuple(_PALETTES))]
    if mood and subject:
        base = base.mixed(_PALETTES[subject], 0.22)
    neighbour = _PALETTES[chance.pick(tuple(_PALETTES))]
    base = base.mixed(neighbour, chance.uniform(0.0, 0.1))
    colours = list(dict.fromkeys(word for word in words if word in _COLOURS))
    if not colours:
        return base, base
    tinted = base.tinted(*(_COLOURS[word] for word in colours[:2]))
    return tinted, _PALETTES[mood] if mood else tinted
