from __future__ import annotations
import numpy as np
from engine.tracking.two_stage import *
from engine.tracking.association import CHI2_95_4DOF
from engine.tracking.kalman import *


class Exp(Tracker, name=""):
    model = CentreSize()

    def __init__(self, first_track_id=1, settings=None):
        super().__init__(first_track_id)
        self.settings = settings or TrackerSettings()
        self.filter = KalmanFilter(self.model)
        self.t = TrackTable.empty()
        self.pace = Pace()
        self.frame = 0
        self.dropped_invalid = 0
        self.nstage = [0, 0, 0, 0]

    def update(self, detections, time_s, frame=None):
        st = self.settings
        t = self.t
        dt = self.pace.step(time_s)
        self.frame += 1
        now = self.pace.time_s
        b = detections.boxes_xyxy.astype(np.float64)
        sc = detections.scores
        cl = detections.class_ids
        ok = np.isfinite(b).all(1) & (b[:, 2] > b[:, 0]) & (b[:, 3] > b[:, 1]) & np.isfinite(sc)
        src = np.flatnonzero(ok & (sc >= st.low_score))
        b = b[src]
        sc = sc[src]
        cl = cl[src]
        patience = max(st.lost_s, st.lost_frames * self.pace.interval_s)
        t.keep((now - t.seen_s <= patience) & ((t.track_ids > 0) | (t.seen_frames == self.frame - 1)))
        lost = t.seen_frames < self.frame - 1
        t.states[lost, VELOCITY, 2:] = 0
        if st.damp:
            t.states[lost, VELOCITY, :2] *= np.exp(-dt / st.damp)
        self.filter.predict(t.states, dt)
        pred = self.model.boxes_xyxy(t.states[:, POSITION])
        ov = iou_matrix(pred, b)
        gate_classes(ov, t.class_ids, cl, st.class_iou)
        sh = shadows(iou_matrix(b, b), sc, st.duplicate_iou)
        det = np.full(len(t), -1)
        free = ~sh
        conf = t.track_ids > 0
        high = sc >= st.high_score
        fused = ov * sc

        def stage(k, sim, rows, cols, least):
            if rows.size and cols.size:
                r, c = assign(sim[np.ix_(rows, cols)], least)
                det[rows[r]] = cols[c]
                free[cols[c]] = False
                self.nstage[k] += len(r)

        stage(0, fused, np.flatnonzero(conf), np.flatnonzero(free & high), st.match_similarity)
        stage(1, ov, np.flatnonzero(conf & (det < 0) & ~lost), np.flatnonzero(free & ~high), st.low_iou)
        stage(2, fused, np.flatnonzero(~conf), np.flatnonzero(free & high), st.confirm_similarity)
        if st.gate_stage:
            rows = np.flatnonzero((det < 0) & (True if st.gate_lost else ~lost))
            cols = np.flatnonzero(free & high)
            if rows.size and cols.size:
                s = t.states[rows]
                S = s[:, VARIANCE] + self.model.scales(s[:, POSITION]) ** 2 * self.model.measurement**2
                d = self.model.coordinates(b[cols])[None] - s[:, None, POSITION]
                d2 = (d * d / S[:, None]).sum(2)
                gl = np.where(lost[rows], st.gate_l, st.gate_t)
                gain = 1 - d2 / gl[:, None]
                if st.ambig:
                    inside = gain > 0
                    amb = (inside.sum(0) > 1)[None, :] | (inside.sum(1) > 1)[:, None]
                    if st.ambig == 1:
                        amb = amb & lost[rows][:, None]
                    gain[amb] = 0
                gain[t.class_ids[rows][:, None] != cl[cols]] = 0
                r, c = assign(gain, 0.0)
                det[rows[r]] = cols[c]
                free[cols[c]] = False
                self.nstage[3] += len(r)
        rows = np.flatnonzero(det >= 0)
        cols = det[rows]
        self.filter.correct(t.states, rows, b[cols])
        t.see(rows, cl[cols], sc[cols], self.frame, now)

        def newid(rows):
            t.track_ids[rows] = np.arange(self.next_track_id, self.next_track_id + len(rows))
            self.next_track_id += len(rows)

        newid(rows[~conf[rows]])
        new = np.flatnonzero(free & (sc >= st.start_score))
        n0 = len(t)
        k = len(new)
        t.append(
            TrackTable(
                self.filter.initiate(b[new]),
                np.zeros(k, np.int64),
                cl[new],
                sc[new].astype(float),
                np.full(k, self.frame),
                np.full(k, now),
                np.full(k, self.frame),
            )
        )
        if self.frame == 1:
            newid(np.arange(n0, n0 + k))
        # out
        row_of = np.full(len(sc), -1)
        row_of[cols] = rows
        row_of[new] = np.arange(n0, n0 + k)
        m = row_of >= 0
        ids = np.zeros(len(sc), np.int64)
        ids[m] = t.track_ids[row_of[m]]
        c2 = cl.copy()
        c2[m] = t.class_ids[row_of[m]]
        shown = (sc >= st.show_score) | (ids > 0)
        vel = np.zeros((len(sc), 2), np.float32)
        vel[m] = t.states[row_of[m], VELOCITY, :2]
        ages = np.zeros(len(sc), np.int32)
        ages[m] = self.frame - t.first_frames[row_of[m]]
        return Tracks(b[shown].astype(np.float32), sc[shown], c2[shown], ids[shown], ages[shown], vel[shown])


class ExpByte(Exp):
    model = CentreAspect()
