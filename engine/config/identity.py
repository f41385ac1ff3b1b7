"""Settings of identity: re-identification, the gallery of those who were seen before, and events."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config.values import setting

OFF = "off"
"""Value of a setting that names something, where there is none."""
IDENTITY_SCOPES = ("off", "camera", "global")


@dataclass(frozen=True, slots=True)
class ReidConfig:
    """What objects look like, as vectors of a re-identification network that runs in the inference process."""

    model: str = setting(
        OFF,
        "name from the registry of models, or path of an ONNX file, that describes how objects look; `off` = identity "
        "goes by place and motion alone",
        flag="--reid",
    )
    backends: tuple[str, ...] = setting(
        (), "what may run it, best first, as in `infer.backends`; empty = those of `infer.backends`"
    )
    threads: int = setting(
        0,
        "threads inside one call; 0 = measured, on the cores that inference takes",
        unit="threads",
        bounds=(0, 256),
    )
    crops_per_s: float = setting(
        60.0,
        "budget: most crops a second of all cameras together, counted in the time of the frames; what goes beyond is "
        "left out, least needed first, and counted; offline each camera has an equal share; 0 = no limit",
        unit="crops/s",
        bounds=(0.0, 1e6),
    )
    crops_per_frame: int = setting(
        32, "most crops of one frame; the least needed are left out", unit="crops", bounds=(1, 1000)
    )
    refresh_frames: int = setting(
        10,
        "a track that nothing is unclear about is looked at again after so many frames, so that its description "
        "keeps up with light and view; 1 = every frame",
        unit="frames",
        bounds=(1, 10000),
    )
    classes: tuple[str, ...] = setting(
        ("person",), "labels that the network can tell apart; the registered ones are trained on people"
    )

    @property
    def enabled(self) -> bool:
        """Whether there is a network at all."""
        return self.model != OFF


@dataclass(frozen=True, slots=True)
class IdentityConfig:
    """The gallery: identities that left and come back, here or before another camera, get their ID again."""

    scope: str = setting(
        OFF,
        "privacy: `off` = no appearance is kept beyond a track's life; `camera` = those who come back before the same "
        "camera get their ID again; `global` = all cameras know them, by a `gid`. Both need `reid.model`. Off, because "
        "looks of people are not to be kept unasked",
        choices=IDENTITY_SCOPES,
        flag="--identity",
    )
    ttl_s: float = setting(
        600.0,
        "how long somebody who left is remembered; appearance means clothes, which change from day to day",
        unit="s",
        bounds=(0.0, 31536000.0),
    )
    most: int = setting(
        100000,
        "most identities remembered; those not seen for longest are forgotten first",
        unit="identities",
        bounds=(1, 10000000),
    )
    similarity: float = setting(
        0.0,
        "least cosine at which two looks may be of the same person; 0 = from how alike the network finds people "
        "who are in one picture, so different ones: that differs from network to network",
        unit="cosine",
        bounds=(0.0, 1.0),
    )
    margin: float = setting(
        0.05,
        "how much better the best identity must be than the next best one; closer calls are left undecided",
        unit="cosine",
        bounds=(0.0, 2.0),
    )
    views: int = setting(4, "most looks kept of an identity: sides, light", unit="looks", bounds=(1, 16))
    wait_s: float = setting(
        0.5,
        "how long a new track may be kept without ID where its look leaves open who it is; longer is surer and "
        "later, because no ID is changed once it was shown",
        unit="s",
        bounds=(0.0, 10.0),
    )
    file: str = setting(
        OFF,
        "where identities are saved, so that they survive a restart of the run; `off` = they are forgotten at its end",
    )
    save_s: float = setting(
        30.0, "time between two savings; a killed run loses at most that", unit="s", bounds=(1.0, 86400.0)
    )


@dataclass(frozen=True, slots=True)
class EventsConfig:
    """What is reported as an event. Zones and lines stand with their camera in the cameras file."""

    enabled: bool = setting(True, "report events at all")
    classes: tuple[str, ...] = setting((), "labels whose objects make events; empty = all")
    speed_every_s: float = setting(
        0.0,
        "report the speed of every object this often; 0 = never, `velocity` is with every object anyway",
        unit="s",
        bounds=(0.0, 3600.0),
    )
    fast_heights_s: float = setting(
        1.6,
        "speed from which an object is a fast mover, in heights of its box a second: 1.6 is 2.8 m/s for a grown-up, "
        "between walking (0.8) and running (2); 0 = never",
        unit="heights/s",
        bounds=(0.0, 100.0),
    )
    fast_for_s: float = setting(
        0.6, "how long it must be that fast; a jump of a box is shorter", unit="s", bounds=(0.0, 60.0)
    )
    group_size: int = setting(
        3, "least members of a group; 0 = groups are not looked for", unit="objects", bounds=(0, 1000)
    )
    group_heights: float = setting(
        1.0,
        "people of a group are at most this far from the next one, in mean heights of their boxes",
        unit="heights",
        bounds=(0.1, 100.0),
    )
    group_for_s: float = setting(
        3.0, "how long they must stay together; who passes by is gone sooner", unit="s", bounds=(0.0, 3600.0)
    )
