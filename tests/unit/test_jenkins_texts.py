"""Any text as a Groovy string, which Jenkins reads in the jobs."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from components.jenkins.jobs import _groovy


def unquoted(literal: str) -> str:
    """Read a Groovy string of single quotes as Groovy does."""
    body = re.fullmatch(r"('''|')(.*)\1", literal, re.DOTALL)
    assert body, literal
    return re.sub(r"\\(.)", lambda found: {"n": "\n"}.get(found[1], found[1]), body[2], flags=re.DOTALL)


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs"])))
@example("'); System.exit(0); ('")
@example("'''\n+ evil + '''")
@example("\\")
@example("\\'")
@example("${1+1}")
def test_any_text_survives_its_way_into_groovy_and_none_gets_out_of_its_string(text: str) -> None:
    literal = _groovy(text)
    quote = "'''" if literal.startswith("'''") else "'"
    inside = literal.removeprefix(quote).removesuffix(quote)
    assert not re.search(r"(?<!\\)(?:\\\\)*'", inside)
    assert unquoted(literal) == text
