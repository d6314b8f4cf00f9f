"""The timer wheel: nobody is told early, nobody is forgotten, whatever moves."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from net.wheel import UNWATCHED, Wheel


@dataclass(eq=False)
class Thing:
    due_s: float
    wheel_turn: int = field(default=UNWATCHED)


def test_a_deadline_is_noticed_within_a_tick_and_not_before() -> None:
    wheel, thing = Wheel(0.5, 8, 100.0), Thing(101.2)
    wheel.place(thing)
    assert wheel.advance(101.1) == []
    assert wheel.advance(101.7) == [thing]
    assert wheel.advance(200.0) == []


def test_a_deadline_pushed_out_costs_nothing_and_holds() -> None:
    wheel, thing = Wheel(0.5, 8, 0.0), Thing(1.0)
    wheel.place(thing)
    thing.due_s = 30.0  # without telling the wheel
    assert wheel.advance(29.9) == []
    assert wheel.advance(30.5) == [thing]


def test_a_deadline_pulled_nearer_is_noticed_when_placed_again() -> None:
    wheel, thing = Wheel(0.5, 8, 0.0), Thing(100.0)
    wheel.place(thing)
    thing.due_s = 1.0
    wheel.place(thing)
    assert wheel.advance(1.5) == [thing]


def test_a_dropped_thing_is_never_told() -> None:
    wheel, thing = Wheel(0.5, 8, 0.0), Thing(1.0)
    wheel.place(thing)
    wheel.drop(thing)
    assert wheel.advance(50.0) == []


@given(
    st.lists(st.tuples(st.floats(0, 50), st.floats(0, 50)), max_size=20),
    st.lists(st.floats(0.01, 9), min_size=1, max_size=30),
)
def test_everybody_is_told_once_in_time(spans: list[tuple[float, float]], steps: list[float]) -> None:
    wheel = Wheel(0.5, 8, 0.0)
    things = [Thing(first) for first, _ in spans]
    for thing in things:
        wheel.place(thing)
    for thing, (_, second) in zip(things, spans, strict=True):
        thing.due_s = second
        wheel.place(thing)
    now, told = 0.0, []
    for step in [*steps, 60.0]:
        before, now = now, now + step
        late = wheel.advance(now)
        assert all(thing.due_s <= now for thing in late)
        told += late
        for thing in things:
            if thing.due_s <= before - 0.5:
                assert thing in told
    assert len(told) == len(things) == len(set(map(id, told)))
