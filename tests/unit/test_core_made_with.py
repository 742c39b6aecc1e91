from deltatune.core import made_with

NOW = {"lora": {"rank": 4, "alpha": 32, "bias": None}, "targets": ("a", "b"), "seed": 1}


def test_what_a_manifest_has_is_the_same_as_the_settings_that_were_written_to_it():
    written = {"lora": {"alpha": 32, "rank": 4}, "seed": 1, "targets": ["a", "b"]}
    assert made_with.differences(written, NOW) == []
    assert made_with.fingerprint(written) == made_with.fingerprint(NOW)


def test_each_difference_is_named_with_its_key():
    made = {"lora": {"rank": 16, "alpha": 32}, "targets": ["a"], "seed": 1, "old": True}
    assert made_with.differences(made, NOW) == [
        "lora.rank is 16, now 4",
        'targets is ["a"], now ["a", "b"]',
        "old is true, now not set",
    ]
    assert made_with.fingerprint(made) != made_with.fingerprint(NOW)
    assert made_with.differences(None, NOW)[0].startswith("settings is null, now ")
    assert len(made_with.differences({"x": "y" * 999}, {"x": 1})[0]) < 100
