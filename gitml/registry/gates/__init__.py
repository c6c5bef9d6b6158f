"""Gates: what a version has to pass before it takes a stage, and how a gate is judged.

    metrics.auc >= 0.9                    a condition on the proposed version's run
    signature.compatible                  clients of the version in that stage go on working
    reproduced                            CI has run it again, and it came out the same
    reproduced.bytes                      ... and made the model's files byte for byte
    signed                                its version tag is signed by somebody who may
    approved_by(2)                        so many have approved the pull request as it is now
    command: [python, checks/bias.py]     a program of the main branch ends with 0
    evaluate: {entry_point: score, ...}   conditions on what CI itself has measured

The policy's gates are those of the base branch; a model's own gates are asked as well.
"""

from gitml.registry.gates.condition import Answer as Answer
from gitml.registry.gates.condition import is_relative as is_relative
from gitml.registry.gates.condition import with_age as with_age
from gitml.registry.gates.gate import COMPATIBLE as COMPATIBLE
from gitml.registry.gates.gate import Approved as Approved
from gitml.registry.gates.gate import Command as Command
from gitml.registry.gates.gate import Condition as Condition
from gitml.registry.gates.gate import Evaluate as Evaluate
from gitml.registry.gates.gate import Gate as Gate
from gitml.registry.gates.gate import Named as Named
from gitml.registry.gates.gate import metrics_of as metrics_of
from gitml.registry.gates.gate import parse_gates as parse_gates
from gitml.registry.gates.judge import Evaluation as Evaluation
from gitml.registry.gates.judge import Evidence as Evidence
from gitml.registry.gates.judge import Verdict as Verdict
from gitml.registry.gates.judge import judge as judge
from gitml.registry.gates.judge import newest as newest
