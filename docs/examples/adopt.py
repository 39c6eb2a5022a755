"""A machine of the `transitions` library becomes a table: checked, stepped, drawn."""

import attrs
from transitions import Machine, State

from engine import check_table, from_transitions, initial_snapshot, mermaid, step

machine = Machine(
    model=None,
    states=["idle", "ringing", State("over", final=True)],
    initial="idle",
    auto_transitions=False,
    transitions=[
        {"trigger": "dial", "source": "idle", "dest": "ringing"},
        {"trigger": "answer", "source": "ringing", "dest": "over", "conditions": "has_balance"},
        {"trigger": "hang_up", "source": "ringing", "dest": "idle"},
    ],
)


@attrs.frozen
class Account:
    """What the conditions look at."""

    key: str
    balance: int = 0

    def has_balance(self) -> bool:
        """The condition of `answer`."""
        return self.balance > 0


table = from_transitions(machine, name="phone", start=Account, waits={"idle": "nobody dials"})
for fault in check_table(table):
    print("fault:", fault)

commands = {command.__name__: command for command in table.commands}
now = initial_snapshot(table, "ann")
for name in ("Answer", "Dial", "Answer", "HangUp"):
    done = step(table, now, commands[name]())
    print(name, done.outcome, done.reason, done.after.state.name)
    now = done.after
print(mermaid(table).splitlines()[-1])
