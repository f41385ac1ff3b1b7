"""Loading: who beats whom, and what is said about everything that can be wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from engine.config import LoadedConfig, configs_dir, load_run_config
from engine.config.load import variable_of
from engine.config.settings import SETTINGS
from engine.errors import ConfigError


def load(
    profile: str | Path = "m3-cpu",
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    cameras: Path | None = None,
) -> LoadedConfig:
    return load_run_config(str(profile), cameras, flags or {}, environ or {})


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(
        'log_level = "warning"\n[infer]\nmodel = "from-file"\nbatch = 2\n[control]\nport = 1000\n'
    )
    return path


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(profile: Path) -> None:
    environ = {"ENGINE_INFER_MODEL": "from-environment", "ENGINE_CONTROL_PORT": "2000"}
    loaded = load(profile, {"infer.model": "from-flag", "duration_s": None}, environ)
    config = loaded.config
    found = {
        "infer.model": config.infer.model,
        "control.port": config.control.port,
        "infer.batch": config.infer.batch,
        "infer.lanes": config.infer.lanes,
        "duration_s": config.duration_s,
        "log_level": config.log_level,
    }
    assert {key: (value, loaded.origins[key]) for key, value in found.items()} == {
        "infer.model": ("from-flag", "flag --model"),
        "control.port": (2000, "environment variable ENGINE_CONTROL_PORT"),
        "infer.batch": (2, f"profile {profile}"),
        "infer.lanes": (0, "default"),
        "duration_s": (None, "default"),
        "log_level": ("warning", f"profile {profile}"),
    }


def test_every_setting_has_its_variable() -> None:
    assert variable_of("infer.show_confidence") == "ENGINE_INFER_SHOW_CONFIDENCE"
    assert variable_of("duration_s") == "ENGINE_DURATION_S"
    assert len({variable_of(key) for key in SETTINGS}) == len(SETTINGS)


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("ENGINE_INFER_CLASSES", "person, car,", "classes", ("person", "car")),
        ("ENGINE_INFER_CLASSES", "", "classes", ()),
        ("ENGINE_INFER_BACKENDS", "ort-cuda,ort-cpu", "backends", ("ort-cuda", "ort-cpu")),
        ("ENGINE_INFER_CONFIDENCE", "1", "confidence", 1.0),
        ("ENGINE_INFER_LANES", " 3 ", "lanes", 3),
        ("ENGINE_INFER_FALLBACK", "", "fallback", ""),
    ],
)
def test_text_from_the_environment_becomes_the_type(
    variable: str, text: str, key: str, value: object
) -> None:
    found = getattr(load(environ={variable: text}).config.infer, key)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("Yes", True), ("0", False), ("off", False)])
def test_yes_and_no_from_the_environment(text: str, value: bool) -> None:
    assert load(environ={"ENGINE_OUTPUT_OVERLAY": text}).config.output.overlay is value


def test_variables_that_are_no_settings_are_left_alone() -> None:
    load(environ={"ENGINE_MODELS": "/models", "ENGINE_TEST_DATA": "/data", "ENGINEER": "me", "PATH": "/bin"})


@pytest.mark.parametrize("name", sorted(path.stem for path in (configs_dir() / "profiles").glob("*.toml")))
def test_the_profiles_that_come_with_the_engine_load(name: str) -> None:
    assert load(name).config.profile == name


def test_there_are_the_promised_profiles() -> None:
    assert load("m3-cpu").config.infer.backends == ("ort-cpu",)
    gpu = load("g5-trt").config
    assert gpu.infer.backends[0] == "tensorrt"
    assert (gpu.output.encoder, gpu.output.preset) == ("auto", "p4")
    assert (gpu.infer.lanes, gpu.decode.backend) == (2, "auto")


BAD_PROFILES = [
    ("[infre]\nmodel = 'x'", "unknown section 'infre' (did you mean 'infer'?)"),
    (
        "[zzz]",
        "unknown section 'zzz'; use one of: bus, control, decode, events, identity, infer, output, pool, reid, "
        "segment, stream, supervisor, track",
    ),
    ("ofline = true", "unknown key 'ofline' (did you mean 'offline'?)"),
    ("[infer]\nmodle = 'x'", ", section [infer]: unknown key 'modle' (did you mean 'model'?)"),
    ("infer = 3", "infer must be a section: write [infer], found 3"),
    ("[infer]\nbatch = 'two'", "infer.batch must be a whole number from 0 to 56 (frames), found 'two'"),
    ("[infer]\nbatch = true", "infer.batch must be a whole number from 0 to 56 (frames), found True"),
    ("[infer]\nbatch = 1.5", "infer.batch must be a whole number from 0 to 56 (frames), found 1.5"),
    ("[infer]\nbatch = -1", "infer.batch must be a whole number from 0 to 56 (frames), found -1"),
    ("[infer]\nconfidence = 1.01", "infer.confidence must be a number from 0 to 1, found 1.01"),
    ("[infer]\nconfidence = true", "infer.confidence must be a number from 0 to 1, found True"),
    ("[infer]\nconfidence = nan", "infer.confidence must be a number from 0 to 1, found nan"),
    ("duration_s = inf", "duration_s must be a number from 0.1 to 1000000000 (s), found inf"),
    ("[infer]\nmodel = ''", "infer.model must be a line of text, not empty, found ''"),
    ("[infer]\nmodel = 7", "infer.model must be a line of text, not empty, found 7"),
    ("[infer]\nclasses = 'person'", "infer.classes must be a list of texts, found 'person'"),
    ("[infer]\nclasses = [1]", "infer.classes must be a list of texts, found [1]"),
    ("[output]\njsonl = 1", "output.jsonl must be true or false, found 1"),
    ("log_level = 'loud'", "log_level must be one of 'debug', 'info', 'warning', 'error', found 'loud'"),
    ("[infer]\nfallback = 'yolo'", "infer.fallback must be one of 'nano_det', 'motion', '', found 'yolo'"),
    ("a = 1\nb == 2", "not valid TOML, at line 2, column 4: Invalid value"),
    ("[infer", "not valid TOML, at end of document: Expected ']' at the end of a table declaration"),
]


@pytest.mark.parametrize(("text", "message"), BAD_PROFILES)
def test_a_wrong_profile_is_refused_with_file_key_and_reason(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    separator = "" if message.startswith(",") else ": "
    assert str(caught.value) == f"{path}{separator}{message}"


PORT = "control.port must be a whole number from 0 to 65535"
BAD_ENVIRONMENTS = [
    (
        "ENGINE_INFER_MODLE",
        "x",
        "environment: unknown variable 'ENGINE_INFER_MODLE' (did you mean 'ENGINE_INFER_MODEL'?)",
    ),
    ("ENGINE_CONTROL_PORT", "70000", f"environment variable ENGINE_CONTROL_PORT: {PORT}, found 70000"),
    ("ENGINE_CONTROL_PORT", "", f"environment variable ENGINE_CONTROL_PORT: {PORT}, found ''"),
    (
        "ENGINE_OFFLINE",
        "maybe",
        "environment variable ENGINE_OFFLINE: offline must be true or false, found 'maybe'",
    ),
]


@pytest.mark.parametrize(("variable", "text", "message"), BAD_ENVIRONMENTS)
def test_a_wrong_variable_is_refused(variable: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ={variable: text})
    assert str(caught.value) == message


BAD_FLAGS: list[tuple[dict[str, object], str]] = [
    ({"control.port": 70000}, f"flag --port: {PORT}, found 70000"),
    (
        {"infer.batch": -1},
        "flag infer.batch: infer.batch must be a whole number from 0 to 56 (frames), found -1",
    ),
    ({"duration_s": 0}, "flag --duration: duration_s must be a number from 0.1 to 1000000000 (s), found 0"),
    ({"infer.modle": "x"}, "flags: unknown setting 'infer.modle' (did you mean 'infer.model'?)"),
    ({"source": "clip.mp4"}, "flag --source: must be a list of texts, found str"),
    (
        {"source": ["test://"], "rtsp_transport": "tpc"},
        "flag --rtsp-transport: rtsp_transport must be one of 'tcp', 'udp', found 'tpc'",
    ),
]


@pytest.mark.parametrize(("flags", "message"), BAD_FLAGS)
def test_a_wrong_flag_is_refused(flags: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags=flags)
    assert str(caught.value) == message


@pytest.mark.parametrize("limit", ["output.keep_h", "output.keep_gib"])
def test_only_segments_can_be_kept_for_a_time(limit: str) -> None:
    with pytest.raises(ConfigError, match=f"{limit} = 24 needs output.segment_s"):
        load(flags={limit: 24.0, "source": ["test://"]})
    kept = load(flags={limit: 24.0, "output.segment_s": 60.0, "source": ["test://"]}).config.output
    assert kept.segment_s == 60.0


def test_a_wrong_file_is_found_behind_the_flag_that_hides_it(profile: Path) -> None:
    profile.write_text("[control]\nport = -1\n")
    with pytest.raises(ConfigError, match=re.escape(f"{profile}: control.port must be")):
        load(profile, {"control.port": 1234})


def test_unknown_profiles_name_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load("m3-cpy")
    assert str(caught.value) == (
        "flag --profile: unknown profile 'm3-cpy' (did you mean 'm3-cpu'?); a path must end in .toml"
    )
    with pytest.raises(ConfigError, match="use one of: g5-trt, m3-cpu"):
        load("qqq")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "nowhere.toml")
    assert str(caught.value) == f"{tmp_path / 'nowhere.toml'}: there is no such file"


def test_a_profile_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == f"{path}: cannot be read: it is not UTF-8 text"
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(f"{tmp_path}/")


def test_results_that_do_not_fit_their_slot_are_refused() -> None:
    load(environ={"ENGINE_INFER_MAX_OBJECTS": "2340"})
    with pytest.raises(ConfigError) as caught:
        load(environ={"ENGINE_INFER_MAX_OBJECTS": "2341"})
    assert str(caught.value) == (
        "environment variable ENGINE_INFER_MAX_OBJECTS: infer.max_objects = 2341 needs "
        "pool.result_slot_kib of at least 129, found 128 (default)"
    )


@pytest.mark.parametrize(
    ("lanes", "batch", "history"), [("0", "52", "4"), ("52", "1", "4"), ("2", "28", "0"), ("1", "1", "55")]
)
def test_more_frames_in_flight_than_a_pool_holds_are_refused(lanes: str, batch: str, history: str) -> None:
    environ = {
        "ENGINE_INFER_LANES": lanes, "ENGINE_INFER_BATCH": batch, "ENGINE_POOL_HISTORY": history,
        "ENGINE_OFFLINE": "yes",
    }  # fmt: skip
    load(environ=environ)
    environ["ENGINE_POOL_HISTORY"] = str(int(history) + 1)
    with pytest.raises(ConfigError, match=r"infer.lanes × infer.batch \+ pool.history may|from 0 to 55"):
        load(environ=environ)


def test_live_a_call_holds_one_frame_of_a_camera_however_large_its_batch() -> None:
    load(environ={"ENGINE_INFER_LANES": "52", "ENGINE_INFER_BATCH": "56"})
    with pytest.raises(ConfigError) as caught:
        load(environ={"ENGINE_INFER_LANES": "53", "ENGINE_INFER_BATCH": "56"})
    assert str(caught.value) == (
        "infer.lanes + pool.history may be 56 at most, which is what a pool of frames holds; "
        "found 53 + 4 (environment variable ENGINE_INFER_LANES, default)"
    )


def test_the_refusal_of_too_many_frames_says_where_they_come_from() -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags={"infer.batch": 16, "offline": True}, environ={"ENGINE_INFER_LANES": "4"})
    assert str(caught.value) == (
        "infer.lanes × infer.batch + pool.history may be 56 at most, which is what a pool of frames holds; "
        "found 4 × 16 + 4 (environment variable ENGINE_INFER_LANES, flag infer.batch, default)"
    )


@pytest.mark.parametrize("mode", ["track", "prompt", "auto"])
def test_the_masks_of_the_detector_have_no_memory(mode: str) -> None:
    load(flags={"segment.mode": "boxes", "segment.model": "detector"})
    with pytest.raises(ConfigError) as caught:
        load(flags={"segment.mode": mode, "segment.model": "detector"})
    assert str(caught.value) == (
        f"flag --segment: segment mode '{mode}' needs SAM2, and segment.model is 'detector' (flag --segment-model), "
        "which gives masks in mode 'boxes' only"
    )


def test_a_camera_with_a_mode_of_its_own_is_held_to_the_same(tmp_path: Path) -> None:
    cameras = tmp_path / "cameras.toml"
    cameras.write_text('[[camera]]\nname = "a"\nsource = "test://"\nsegment = "track"\n')
    with pytest.raises(ConfigError, match=r"cameras file .*: segment mode 'track' needs SAM2"):
        load_run_config("m3-cpu", cameras, {"segment.model": "detector"}, {})


def test_a_file_of_identities_is_not_deleted_because_a_scope_was_forgotten() -> None:
    environ = {"ENGINE_IDENTITY_FILE": "people.bin"}
    with pytest.raises(ConfigError, match=r"^environment variable ENGINE_IDENTITY_FILE: .*off by default"):
        load(environ=environ)
    for scope in ("off", "camera", "global"):
        load(environ=environ | {"ENGINE_IDENTITY_SCOPE": scope})
