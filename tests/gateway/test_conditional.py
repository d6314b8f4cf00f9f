"""Conditions over a strong tag: the tables of RFC 9110 §13."""

import pytest

from gateway.conditional import Verdict, evaluate, range_applies

TAG = '"abc"'
OK, NOT_MODIFIED, FAILED = Verdict.PERFORM, Verdict.NOT_MODIFIED, Verdict.PRECONDITION_FAILED


@pytest.mark.parametrize(
    ("field", "verdict"),
    [
        (None, OK),
        ('"abc"', NOT_MODIFIED),
        ('W/"abc"', NOT_MODIFIED),  # If-None-Match compares weakly
        ("*", NOT_MODIFIED),
        (' "x" , W/"y",,"abc"', NOT_MODIFIED),
        ('"x", "y"', OK),
        ("abc", OK),  # not a tag
        ('"abc', OK),
        ('"x" garbage "abc"', OK),
        ("", OK),
        ('w/"abc"', OK),  # W is case-sensitive
    ],
)
def test_if_none_match(field: str | None, verdict: Verdict) -> None:
    assert evaluate(TAG, if_match=None, if_none_match=field, is_read=True) is verdict
    expected = FAILED if verdict is NOT_MODIFIED else verdict
    assert evaluate(TAG, if_match=None, if_none_match=field, is_read=False) is expected


@pytest.mark.parametrize(
    ("field", "verdict"),
    [
        (None, OK),
        ('"abc"', OK),
        ("*", OK),
        ('"x", "abc"', OK),
        ('W/"abc"', FAILED),  # If-Match compares strongly
        ('"x"', FAILED),
        ("", FAILED),
        ("nonsense", FAILED),
    ],
)
def test_if_match(field: str | None, verdict: Verdict) -> None:
    assert evaluate(TAG, if_match=field, if_none_match=None, is_read=True) is verdict


def test_if_match_is_looked_at_first() -> None:
    assert evaluate(TAG, if_match='"x"', if_none_match='"abc"', is_read=True) is FAILED


@pytest.mark.parametrize(
    ("field", "applies"),
    [
        (None, True),
        ('"abc"', True),
        (' "abc" ', True),
        ('W/"abc"', False),
        ('"x"', False),
        ("Wed, 21 Oct 2015 07:28:00 GMT", False),
        ('"abc", "x"', False),
        ("*", False),
    ],
)
def test_if_range(field: str | None, applies: bool) -> None:
    assert range_applies(TAG, field) is applies


@pytest.mark.parametrize(
    ("field", "read", "match"),
    [
        ('W/"abc"', NOT_MODIFIED, FAILED),
        ('"abc"', NOT_MODIFIED, FAILED),
        ("*", NOT_MODIFIED, OK),
        ('"x"', OK, FAILED),
    ],
)
def test_a_weak_tag_matches_weakly_and_never_strongly(field: str, read: Verdict, match: Verdict) -> None:
    """RFC 9110 §8.8.3.2: for a CAR or TAR, whose tag is weak, a repeated request must get its 304."""
    assert evaluate(f"W/{TAG}", if_match=None, if_none_match=field, is_read=True) is read
    assert evaluate(f"W/{TAG}", if_match=field, if_none_match=None, is_read=True) is match
