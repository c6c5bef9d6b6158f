"""What GitHub's own evaluator says of many expressions, kept in `expressions.json`.

It is the npm package `@actions/expressions`. `python -m tests.actions.oracle FOLDER` asks it anew,
FOLDER being one in which `npm install` has put it.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = "@actions/expressions"
VERSION = "0.3.61"
FILE = Path(__file__).with_name("expressions.json")
CONTEXTS: dict[str, Any] = {
    "github": {
        "ref": "refs/tags/churn#production#3",
        "ref_name": "churn#production#3",
        "event_name": "pull_request",
        "repository": "ada/churn",
        "event": {"pull_request": {"number": 12, "head": {"repo": {"full_name": "Ada/Churn"}}}},
    },
    "needs": {"plan": {"result": "success", "outputs": {"stages": '["production"]', "none": ""}}},
    "matrix": {"stage": "production", "parts": [1, 2.5, "x", None, True]},
    "inputs": {},
}
_VALUES = (
    "null true false 0 1 2.50 NaN '' '1' 'a' 'A' '\u00a012' '0x10' matrix.parts matrix inputs.x.y"
).split(" ")
_SIGNS = ("==", "!=", "<", ">=", "&&", "||")
_MORE = r"""
!true
!'' && !null
!!'x'
! (1 == 2)
1 == 1 == true
1 < 2 == true
'a' || 'b' && ''
('a' || 'b') && 'c'
null || github.missing || 'last'
'' || 0 || false
1 && 'x' || 'y'
'it''s'
'${{ x }}'
github.ref
GitHub.REF
github['ref_name']
github['re' ]
github.event.pull_request.number
github.event.pull_request.number || github.ref
github.event.merge_group.base_sha || 'HEAD^1'
github.event.pull_request.head.repo.full_name == github.repository
github.event.pull_request.head.repo.full_name != 'mallory/churn'
github.event.pull_request.number == '12'
github.event.nothing.at.all == null
matrix.parts[0]
matrix.parts[1]
matrix.parts[2.9]
matrix.parts[9]
matrix.parts['1']
matrix.parts[-1]
matrix.parts.x
matrix['stage']
needs.plan.outputs.stages != '[]'
needs.plan.outputs.misspelt != '[]'
needs.plan.outputs.misspelt == ''
fromJSON(needs.plan.outputs.stages)
fromJSON(needs.plan.outputs.stages)[0]
fromJson('{"a": [1, 2, {"b": null}], "c": true}')
fromJSON('{"a": {"B": 7}}').A.b
fromJSON('1.5')
fromJSON('1.0') == 1
fromJSON(' "x" ')
fromJSON('')
fromJSON('[1,')
fromJSON(needs.plan.outputs.none)
toJSON(matrix)
toJSON('a"b')
toJSON(1.5)
toJSON(null)
toJSON(matrix.parts[1]) == '2.5'
contains('Hello', 'hELL')
contains('abc', '')
contains('abc', 'd')
contains(matrix.parts, 1)
contains(matrix.parts, '2.5')
contains(matrix.parts, 'X')
contains(matrix.parts, null)
contains(matrix, 'stage')
contains(12, 2)
contains('a', matrix)
contains(fromJSON('["push", "schedule"]'), github.event_name)
startsWith('Refs/Tags/x', 'refs/tags/')
startsWith(github.ref, 'refs/heads/')
startsWith(matrix.parts, 'a')
startsWith(123, 12)
endsWith('churn#production#3', '#3')
endsWith('x', 'X')
endsWith('x', null)
format('{0} of {1}', 'a', 2)
format('{{0}} {0}', 'a')
format('{1}{0}{1}', 1.50, true)
format('{0}', null)
format('{0}', matrix)
format('plain')
format('{0}')
format('{')
format('}')
format('{x}', 1)
join(matrix.parts)
join(matrix.parts, ' / ')
join('a', '-')
join(matrix)
join(fromJSON('[]'))
1e21
123456789012
0.1
-0
.5
+5
0o17
0b11
1.2.3
5x
'unclosed
github.
github[
github.ref)
(1
1 =! 2
a b
&& 1
1 ||
contains('a')
contains('a', 'b', 'c')
nothing('a')
unknown.context
format()
github.ref name
true.x
'a'.b
('a').b
(github).ref
fromJSON('{"a":1}')['a'] + 1
TRUE
True
Null
github.-x
github.ev_e-nt
'A' == 'a'
'ä' == 'Ä'
'ß' == 'SS'
'I' == 'i'
'1e2' == 100
' 12 ' == 12
0x1F == 31
1e3 == 1000
'b' > 'A'
'B' > 'a'
'10' > '9'
10 > '9'
'x' > 1
null < 1
false < true
matrix == matrix
matrix == inputs
matrix > inputs
null == ''
null == 0
null == false
false == ''
true == '1'
true == 'true'
NaN == NaN
Infinity > 1e300
-Infinity
"""


_DOTLESS = "'\N{LATIN SMALL LETTER DOTLESS I}' == 'I'"


def expressions() -> list[str]:
    """What is asked: each pair of values with each operator, and what is tricky by itself."""
    return [*_pairs(), *(line for line in _MORE.splitlines() if line), _DOTLESS]


def _pairs() -> Iterator[str]:
    for left, right in itertools.product(_VALUES, repeat=2):
        for sign in _SIGNS:
            yield f"{left} {sign} {right}"


def ask(folder: Path) -> list[dict[str, Any]]:
    """What the package says, which `npm install` has put below a folder."""
    script = Path(__file__).with_name("oracle.mjs")
    asked = json.dumps({"contexts": CONTEXTS, "expressions": expressions()})
    command = ("node", script, folder / "node_modules" / PACKAGE)
    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)
    told: list[dict[str, Any]] = json.loads(done.stdout)
    return told


@cache
def kept() -> dict[str, dict[str, Any]]:
    """What it said, by the expression."""
    found: dict[str, dict[str, Any]] = json.loads(FILE.read_text("utf-8"))["answers"]
    return found


if __name__ == "__main__":
    answers = dict(zip(expressions(), ask(Path(sys.argv[1])), strict=True))
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(it)}" for key, it in answers.items())
    source = json.dumps(f"{PACKAGE} {VERSION} (npm, MIT)")
    FILE.write_text(f'{{"source": {source}, "answers": {{\n{lines}\n}}}}\n', "utf-8")
