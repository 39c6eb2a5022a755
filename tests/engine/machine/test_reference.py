"""The transitions library as a second opinion, and machines handed over both ways."""

import random
import subprocess
import sys
from enum import Enum, StrEnum

import attrs
import pytest
from transitions import Machine, MachineError, State
from transitions.extensions import GraphMachine, HierarchicalMachine, LockedMachine
from transitions.extensions.asyncio import AsyncMachine

from engine.errors import TableError
from engine.machine.laws import walk
from engine.machine.reference import (
    NO_CONDITION,
    NOT_ALLOWED,
    Model,
    Moved,
    Trigger,
    choose_by_library,
    from_transitions,
    reference_step,
    to_transitions,
)
from engine.machine.step import Outcome, Snapshot, initial_snapshot, step
from engine.machine.table import Refuse, Row, say_nothing
from engine.vocabulary import Command, Effect, Event
from tests.engine.machine.tables import (
    EVERY,
    PHONE,
    PHONE_SAMPLES,
    PRINTER,
    TURNSTILE,
    Accept,
    Coin,
    Connected,
    Dial,
    HangUp,
    P,
    Print,
    Push,
    S,
    Say,
    Sleep,
    T,
    Warm,
    pay,
)


@pytest.mark.parametrize(("table", "samples"), EVERY, ids=lambda one: getattr(one, "name", ""))
def test_the_library_agrees_with_the_book_on_a_random_walk(table: object, samples: object) -> None:
    for now, command in walk(table, samples, random.Random(12).choice, 1_000):
        assert reference_step(table, now, command) == step(table, now, command)


def test_the_library_chooses_for_deferred_commands_too() -> None:
    waiting = step(PRINTER, initial_snapshot(PRINTER, "1"), Print(1)).after
    assert reference_step(PRINTER, waiting, Warm()) == step(PRINTER, waiting, Warm())


def test_an_unknown_command_is_refused_by_the_library_as_well() -> None:
    now = initial_snapshot(TURNSTILE, "1")
    assert reference_step(TURNSTILE, now, Warm()) == step(TURNSTILE, now, Warm())


class Failed(BaseException):
    """Stands for what must never be caught, as trio's Cancelled."""


@pytest.mark.parametrize("error", [KeyError("x"), MachineError("x"), AttributeError("x"), Failed("x")])
def test_what_a_guard_raises_comes_out(error: BaseException) -> None:
    def broken(_coins: int, _command: Coin) -> bool:
        raise error

    table = attrs.evolve(
        TURNSTILE,
        rows=(Row(T.LOCKED, Coin, T.OPEN, pay, when=broken), *TURNSTILE.rows[1:]),
        asides=(Refuse(T.LOCKED, (Push, Coin), "locked"),),
    )
    with pytest.raises(type(error)) as caught:
        reference_step(table, initial_snapshot(table, "1"), Coin())
    assert caught.value is error


def test_a_raising_guard_leaves_the_machine_fit_for_the_next_call() -> None:
    def broken(coins: int, _command: Coin) -> bool:
        return 1 // coins > 0

    table = attrs.evolve(
        TURNSTILE,
        rows=(Row(T.LOCKED, Coin, T.OPEN, pay, when=broken), *TURNSTILE.rows[1:]),
        asides=(Refuse(T.LOCKED, (Push, Coin), "locked"),),
    )
    with pytest.raises(ZeroDivisionError):
        reference_step(table, Snapshot(T.LOCKED, 0), Coin())
    assert reference_step(table, Snapshot(T.LOCKED, 1), Coin()).after.state is T.OPEN


def test_a_guard_that_is_true_without_being_the_constant_lets_its_row_fire() -> None:
    chosen = choose_by_library(PRINTER, Snapshot(P.READY, (1,)), Sleep())
    assert isinstance(chosen, Row)
    assert chosen.again


def test_commands_of_one_name_are_kept_apart() -> None:
    other = attrs.make_class("Coin", [], bases=(Command,), frozen=True)
    row = Row(T.LOCKED, other, T.LOCKED, pay)
    table = attrs.evolve(
        TURNSTILE, rows=(row, *TURNSTILE.rows), asides=(*TURNSTILE.asides, Refuse(T.OPEN, other, "no"))
    )
    assert reference_step(table, Snapshot(T.LOCKED, 0), other()).after.state is T.LOCKED
    assert reference_step(table, Snapshot(T.LOCKED, 0), Coin()).after.state is T.OPEN
    assert {"Coin", "Coin_2"} <= set(to_transitions(table).events)


def test_importing_the_reference_brings_no_asyncio() -> None:
    code = "import sys, engine.machine.reference; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def played(machine: Machine, *commands: Command) -> Model:
    for command in commands:
        machine.model.trigger(type(command).__name__, command)
    return machine.model


def test_a_table_is_handed_out_with_its_states_triggers_and_readable_conditions() -> None:
    machine = to_transitions(PHONE, "1")
    assert list(machine.states) == [state.name for state in S]
    assert {name for name, state in machine.states.items() if state.final} == {"MISSED", "ENDED"}
    assert machine.get_triggers(S.RINGING) == ["Accept", "HangUp", "ExpireRing", "Crash"]
    first, second = machine.get_transitions("HangUp", S.RINGING)
    assert [first.conditions[0].func.__name__, second.conditions[0].func.__name__] == [
        "by_caller",
        "by_party",
    ]
    assert first.before[0].__name__ == "cancel"


def test_the_model_carries_the_data_and_collects_what_is_said() -> None:
    dial, say = Dial(sender="ann", callee="bob"), Say("ann", "hello")
    model = played(to_transitions(PHONE, "1"), dial, Accept("bob"), Connected(), say)
    now, said = initial_snapshot(PHONE, "1"), []
    for command in (dial, Accept("bob"), Connected(), say):
        done = step(PHONE, now, command)
        now = done.after
        said += [*done.events, *(effect for effect in done.effects if "Timer" not in type(effect).__name__)]
    assert (model.state, model.data, model.said) == (now.state, now.data, said)
    assert model.is_TALKING()


def test_the_handed_out_machine_refuses_in_the_librarys_way() -> None:
    machine = to_transitions(PHONE)
    with pytest.raises(MachineError):
        machine.model.HangUp(HangUp("ann"))
    assert machine.model.Dial(Dial(sender="ann", callee="ann")) is False
    assert machine.model.state is S.NEW


def test_a_row_that_stays_is_internal_unless_it_enters_again() -> None:
    machine = to_transitions(PHONE)
    (again,) = machine.get_transitions("Hold", S.HELD)
    (inside,) = machine.get_transitions("Say", S.TALKING)
    assert (again.dest, inside.dest) == ("HELD", None)


def test_a_row_that_says_nothing_has_no_callback() -> None:
    table = attrs.evolve(TURNSTILE, rows=(*TURNSTILE.rows[:2], Row(T.OPEN, Coin, T.OPEN)))
    (row,) = to_transitions(table).get_transitions("Coin", T.OPEN)
    assert row.before == []


def test_a_table_is_drawn_by_the_librarys_own_diagrams() -> None:
    machine = to_transitions(PHONE, made_by=GraphMachine, graph_engine="mermaid", show_conditions=True)
    assert "by_caller" in machine.get_graph().source


class Door:
    """A model as people have them: conditions by name."""

    def __init__(self, keys: int = 1) -> None:
        self.keys = keys
        self.is_jammed = False

    def has_key(self) -> bool:
        return self.keys > 0


def is_gentle(force: int = 0) -> bool:
    return force < 5


DOOR = {
    "states": ["shut", "ajar", State("wide open"), {"name": "gone", "final": True}],
    "initial": "shut",
    "auto_transitions": False,
    "transitions": [
        {
            "trigger": "push_it",
            "source": "shut",
            "dest": "ajar",
            "conditions": "has_key",
            "unless": "is_jammed",
        },
        {"trigger": "push_it", "source": "ajar", "dest": "wide open", "conditions": is_gentle},
        {"trigger": "push_it", "source": "ajar", "dest": "gone"},
        {"trigger": "pull", "source": ["ajar", "wide open"], "dest": "shut"},
        {"trigger": "pull", "source": "shut", "dest": "="},
        {"trigger": "look", "source": "*", "dest": None, "conditions": is_gentle},
    ],
}


def door(**changes: object) -> Machine:
    return Machine(model=None, **{**DOOR, **changes})


def adopted(**changes: object) -> object:
    arguments = {"name": "door", "start": lambda _key: Door(), "final": ["gone"], **changes}
    machine = arguments.pop("machine", None) or door(
        transitions=[one for one in DOOR["transitions"] if one["trigger"] != "look"]
    )
    return from_transitions(machine, **arguments)


def command(table: object, name: str) -> type[Trigger]:
    (found,) = [one for one in table.commands if one.__name__ == name]
    return found


def test_states_become_a_str_enum_and_triggers_become_commands() -> None:
    table = adopted()
    assert issubclass(type(table.initial), StrEnum)
    assert [(state.name, state.value) for state in table.states] == [
        ("SHUT", "shut"),
        ("AJAR", "ajar"),
        ("WIDE_OPEN", "wide open"),
        ("GONE", "gone"),
    ]
    assert [(one.__name__, one.trigger) for one in table.commands] == [
        ("PushIt", "push_it"),
        ("Pull", "pull"),
    ]
    assert table.final == {type(table.initial)("gone")}


def test_final_states_are_those_of_the_machine_unless_others_are_named() -> None:
    transitions = [{"trigger": "pull", "source": "shut", "dest": "gone"}]
    machine = door(transitions=transitions)
    assert [state.name for state in adopted(machine=machine, final=None).final] == ["GONE"]


def test_conditions_see_the_data_as_their_model_and_the_triggers_arguments() -> None:
    table = adopted()
    push = command(table, "PushIt")
    shut = initial_snapshot(table, "1")
    ajar = step(table, shut, push())
    assert ajar.after.state.name == "AJAR"
    assert ajar.events == (Moved("push_it", "shut", "ajar"),)
    assert step(table, ajar.after, push(kwargs={"force": 1})).after.state.name == "WIDE_OPEN"
    assert step(table, ajar.after, push(args=(9,))).after.state.name == "GONE"


def test_what_the_library_does_in_silence_is_refused_with_a_reason() -> None:
    table = adopted(start=lambda _key: Door(keys=0))
    done = step(table, initial_snapshot(table, "1"), command(table, "PushIt")())
    assert (done.outcome, done.reason) == (Outcome.REFUSED, NO_CONDITION)


def test_an_unless_that_holds_stops_the_row() -> None:
    jammed = Door()
    jammed.is_jammed = True
    table = adopted(start=lambda _key: jammed)
    assert step(table, initial_snapshot(table, "1"), command(table, "PushIt")()).reason == NO_CONDITION
    assert table.rows[0].when.__name__ == "has_key_and_not_is_jammed"


def test_what_the_library_raises_for_is_refused() -> None:
    table = adopted()
    gone = Snapshot(type(table.initial)("gone"), Door())
    assert step(table, gone, command(table, "Pull")()).reason == NOT_ALLOWED


def test_what_the_machine_ignores_is_ignored() -> None:
    machine = door(
        states=["shut", State("ajar", ignore_invalid_triggers=False), "gone"],
        transitions=[{"trigger": "pull", "source": "shut", "dest": "ajar"}],
        ignore_invalid_triggers=True,
    )
    table = adopted(machine=machine)
    pull, states = command(table, "Pull"), type(table.initial)
    assert step(table, Snapshot(states("gone"), None), pull()).outcome is Outcome.IGNORED
    assert step(table, Snapshot(states("ajar"), None), pull()).outcome is Outcome.REFUSED


def test_a_reflexive_transition_enters_again_and_an_internal_one_does_not() -> None:
    table = adopted(machine=door(), final=[])
    rows = {row.on.__name__: row for row in table.rows if row.source is table.initial}
    assert (rows["Pull"].again, rows["Look"].again) == (True, False)
    assert rows["Look"].then is say_nothing
    assert step(table, initial_snapshot(table, "1"), command(table, "Pull")()).after.entries == 1


def test_conditions_of_a_machine_that_sends_events_get_one() -> None:
    def is_strong(event: object) -> bool:
        return event.kwargs["force"] > event.model.keys and event.transition.dest == "ajar"

    machine = door(
        send_event=True,
        transitions=[{"trigger": "pull", "source": "shut", "dest": "ajar", "conditions": is_strong}],
    )
    table = adopted(machine=machine)
    pull = command(table, "Pull")
    assert step(table, initial_snapshot(table, "1"), pull(kwargs={"force": 2})).after.state.name == "AJAR"
    assert step(table, initial_snapshot(table, "1"), pull(kwargs={"force": 1})).reason == NO_CONDITION


def test_jumps_of_the_library_are_left_out_unless_they_are_wanted() -> None:
    machine = door(
        auto_transitions=True, transitions=[{"trigger": "to_gone_now", "source": "shut", "dest": "ajar"}]
    )
    assert [one.trigger for one in adopted(machine=machine).commands] == ["to_gone_now"]
    kept = adopted(machine=machine, jumps=True, final=[])
    assert "to_wide open" in [one.trigger for one in kept.commands]


def test_jumps_are_known_by_the_name_of_another_state_attribute_too() -> None:
    machine = door(
        auto_transitions=True,
        model_attribute="position",
        transitions=[{"trigger": "pull", "source": "shut", "dest": "ajar"}],
    )
    assert [one.trigger for one in adopted(machine=machine).commands] == ["pull"]


def test_a_str_enum_is_kept_as_the_states() -> None:
    class Light(StrEnum):
        RED = "red"
        GREEN = "green"

    machine = Machine(
        model=None,
        states=Light,
        initial=Light.RED,
        auto_transitions=False,
        transitions=[["go", "RED", "GREEN"]],
    )
    assert adopted(machine=machine, final=()).states == tuple(Light)


def test_states_of_another_enumeration_become_a_str_enum() -> None:
    class Light(Enum):
        RED = 1
        GREEN = 2

    machine = Machine(
        model=None,
        states=Light,
        initial=Light.RED,
        auto_transitions=False,
        transitions=[["go", "RED", "GREEN"]],
    )
    assert [str(state) for state in adopted(machine=machine, final=()).states] == ["RED", "GREEN"]


def test_states_of_several_kinds_become_a_str_enum() -> None:
    machine = Machine(
        model=None,
        states=["off", T.OPEN],
        initial="off",
        auto_transitions=False,
        transitions=[["go", "off", "OPEN"]],
    )
    assert [str(state) for state in adopted(machine=machine, final=()).states] == ["off", "OPEN"]


def test_reasons_for_waiting_are_given_by_state_name() -> None:
    table = adopted(waits={"wide open": "until somebody shuts it"})
    assert table.waits == {type(table.initial)("wide open"): "until somebody shuts it"}


def test_a_table_without_data_needs_no_start() -> None:
    machine = door(
        transitions=[{"trigger": "pull", "source": "shut", "dest": "ajar", "conditions": is_gentle}]
    )
    table = from_transitions(machine, name="door")
    done = step(table, initial_snapshot(table, "1"), command(table, "Pull")())
    assert (done.after.state.name, done.after.data) == ("AJAR", None)


@attrs.frozen
class Creaked(Event):
    pass


@attrs.frozen
class Light(Effect):
    pass


CALLBACKS = {
    "before_state_change": "note_before",
    "after_state_change": "note_after",
    "on_final": "celebrate",
    "states": [State("shut", on_exit="creak"), State("gone", on_enter=["switch"], final=True)],
    "transitions": [
        {"trigger": "pull", "source": "shut", "dest": "gone", "before": pay, "after": "write"},
        {"trigger": "look", "source": "shut", "dest": None, "after": "write"},
    ],
}


def test_callbacks_without_a_reaction_are_all_named() -> None:
    with pytest.raises(TableError) as caught:
        adopted(machine=door(**CALLBACKS))
    assert str(caught.value) == "door: " + "; ".join(
        f"the callback {name} needs an entry in `reactions`"
        for name in ("note_before", "pay", "creak", "switch", "celebrate", "write", "note_after")
    )


def test_reactions_speak_for_callbacks_in_the_librarys_order_events_first() -> None:
    order = []

    def saying(name: str, *said: object) -> object:
        def react(_data: object, _command: object) -> tuple[object, ...]:
            order.append(name)
            return said

        return react

    reactions = {
        name: saying(name) for name in ("note_before", "pay", "switch", "celebrate", "write", "note_after")
    }
    reactions |= {"creak": saying("creak", Creaked()), "pay": saying("pay", Light())}
    table = adopted(machine=door(**CALLBACKS), reactions=reactions)
    done = step(table, initial_snapshot(table, "1"), command(table, "Pull")())
    assert order == ["note_before", "pay", "creak", "switch", "celebrate", "write", "note_after"]
    assert done.events == (Moved("pull", "shut", "gone"), Creaked())
    assert done.effects == (Light(),)
    order.clear()
    done = step(table, initial_snapshot(table, "1"), command(table, "Look")())
    assert order == ["note_before", "write", "note_after"]
    assert done.events == ()


def some_callback() -> None:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"queued": True}, "a queued machine cannot be adopted"),
        ({"prepare_event": some_callback}, "prepare_event cannot be adopted"),
        ({"finalize_event": some_callback}, "finalize_event cannot be adopted"),
        ({"on_exception": some_callback}, "on_exception cannot be adopted"),
        (
            {
                "transitions": [
                    {"trigger": "pull", "source": "shut", "dest": "ajar", "prepare": some_callback}
                ]
            },
            "shut: `prepare` cannot be adopted",
        ),
        ({"initial": None}, "without an initial state"),
    ],
)
def test_what_no_table_can_do_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(TableError, match=f"door: .*{reason}"):
        adopted(machine=door(**changes))


def test_nested_machines_are_refused() -> None:
    with pytest.raises(TableError, match="a hierarchical machine cannot be adopted"):
        adopted(machine=HierarchicalMachine(model=None, states=["shut"], initial="shut"), final=[])


def test_asyncio_machines_are_refused() -> None:
    with pytest.raises(TableError, match="an asyncio machine cannot be adopted"):
        adopted(machine=AsyncMachine(model=None, states=["shut"], initial="shut"), final=[])


def test_a_locked_machine_is_adopted_without_its_lock() -> None:
    machine = LockedMachine(model=None, **DOOR)
    assert adopted(machine=machine, final=[]).initial == "shut"


def test_a_condition_by_name_needs_data_to_be_looked_up_on() -> None:
    with pytest.raises(TableError, match="shut: a condition given by name needs `start`"):
        from_transitions(door(), name="door")


@pytest.mark.parametrize(
    ("states", "reason"),
    [
        (["a b", "a-b"], "states: 'a-b' would be called 'A_B', which is the name of 'a b' too"),
        (["1"], "states: '1' would be called '1', which is no name"),
    ],
)
def test_state_names_that_make_no_members_are_refused(states: list[str], reason: str) -> None:
    with pytest.raises(TableError, match=reason):
        adopted(machine=Machine(model=None, states=states, initial=states[0]), final=[])


def test_trigger_names_that_make_one_command_are_refused() -> None:
    transitions = [["look_up", "shut", "ajar"], ["lookUp", "shut", "ajar"]]
    with pytest.raises(TableError, match="triggers: 'lookUp' would be called 'LookUp'"):
        adopted(machine=door(transitions=transitions))


def test_an_unknown_state_name_is_refused() -> None:
    with pytest.raises(TableError, match="door: no state is called 'lost'"):
        adopted(final=["lost"])


def test_a_transition_that_can_never_fire_is_told() -> None:
    transitions = [["pull", "shut", "ajar"], ["pull", "shut", "gone"]]
    with pytest.raises(TableError, match=r"\(SHUT, Pull\) has an entry behind an unguarded one"):
        adopted(machine=door(transitions=transitions))


def adopted_phone() -> object:
    """The telephone, handed out and taken back; its data is the library's model."""

    def reaction(then: object) -> object:
        return lambda model, trigger: then(model.data, *trigger.args)

    def evolve_model(model: Model, event: Event) -> Model:
        return model if isinstance(event, Moved) else Model(PHONE.evolve(model.data, event))

    return from_transitions(
        to_transitions(PHONE),
        name="phone again",
        start=lambda key: Model(PHONE.start(key)),
        evolve=evolve_model,
        reactions={row.then.__name__: reaction(row.then) for row in PHONE.arrows},
        waits={state.name: reason for state, reason in PHONE.waits.items()},
    )


def test_a_table_that_comes_back_has_the_same_rows() -> None:
    back = adopted_phone()
    assert back.states == PHONE.states
    assert (back.initial, back.final, back.waits) == (PHONE.initial, PHONE.final, PHONE.waits)
    shape = {(row.source, row.on.__name__, row.target, row.again, row.when is None) for row in PHONE.arrows}
    assert {
        (row.source, row.on.__name__, row.target, row.again, row.when is None) for row in back.arrows
    } == shape


def test_a_table_that_comes_back_moves_as_before() -> None:
    back = adopted_phone()
    commands = {one.__name__: one for one in back.commands}
    moved = 0
    for now, asked in walk(PHONE, PHONE_SAMPLES, random.Random(3).choice, 2_000):
        if now.deferred:
            continue
        ours = step(PHONE, now, asked)
        theirs = step(
            back, Snapshot(now.state, Model(now.data)), commands[type(asked).__name__](args=(asked,))
        )
        if ours.outcome is Outcome.MOVED:
            moved += 1
            assert theirs.outcome is Outcome.MOVED
            assert (theirs.after.state, theirs.after.data.data) == (ours.after.state, ours.after.data)
            assert tuple(one for one in theirs.events if not isinstance(one, Moved)) == ours.events
        else:
            assert (theirs.outcome, theirs.after.state) == (Outcome.REFUSED, now.state)
    assert moved > 400


def test_the_same_machine_is_played_by_the_library_and_by_its_table() -> None:
    machine = door(transitions=[one for one in DOOR["transitions"] if one["trigger"] != "look"])
    table = adopted(machine=machine)
    choose = random.Random(5).choice
    for _ in range(50):
        model, now = Door(), initial_snapshot(table, "1")
        machine.add_model(model)
        for _ in range(8):
            asked, force = choose(table.commands), choose((1, 9))
            done = step(table, now, asked(kwargs={"force": force} if model.state == "ajar" else {}))
            now = done.after
            try:
                fired = model.trigger(asked.trigger, **({"force": force} if model.state == "ajar" else {}))
            except MachineError:
                assert done.reason == NOT_ALLOWED
            else:
                assert fired is (done.outcome is Outcome.MOVED)
            assert model.state == now.state
        machine.remove_model(model)
