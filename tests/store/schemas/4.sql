BEGIN TRANSACTION;
CREATE TABLE evaluations (
            search TEXT NOT NULL REFERENCES searches (id) ON DELETE CASCADE,
            number INTEGER NOT NULL,
            generation INTEGER NOT NULL,
            digest TEXT NOT NULL,
            policy_rows TEXT NOT NULL,
            budget REAL NOT NULL,
            score TEXT NOT NULL,
            objective REAL,
            seconds REAL NOT NULL, keep TEXT,
            PRIMARY KEY (search, number),
            UNIQUE (search, digest)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "evaluations" VALUES('00000000000000000000000000000001',1,0,'0000000000000001','##
==',0.5,'{"clip_score": 30.5, "clip_backbone": "scenes-clip", "clip_scores": [30.0, 31.0], "psnr": 25.25, "ssim": 0.9, "latent_error": 0.01, "images": 2}',30.5,2.5,'[[1.0, 0.5], [1.0, 1.0]]');
INSERT INTO "evaluations" VALUES('00000000000000000000000000000001',2,1,'0000000000000002','##
=.',0.5,'{"clip_score": null, "clip_backbone": "", "clip_scores": [], "psnr": null, "ssim": null, "latent_error": null, "images": 0}',NULL,2.5,NULL);
CREATE TABLE generations (
            search TEXT NOT NULL REFERENCES searches (id) ON DELETE CASCADE,
            generation INTEGER NOT NULL,
            population TEXT NOT NULL,
            evaluations INTEGER NOT NULL,
            PRIMARY KEY (search, generation)
        ) STRICT, WITHOUT ROWID;
INSERT INTO "generations" VALUES('00000000000000000000000000000001',1,'abababababababababababababababababababababababababababababababab',2);
CREATE TABLE runs (
            id TEXT PRIMARY KEY,
            created REAL NOT NULL,
            images INTEGER NOT NULL,
            record TEXT NOT NULL
        ) STRICT;
INSERT INTO "runs" VALUES('ffffffffffffffffffffffffffffffff',1002.0,1,'{"id": "ffffffffffffffffffffffffffffffff", "created": 1002.0, "model": "scenes-pixart", "policy": {"format": "mddit-policy/1", "name": "untitled", "model": "", "sites": ["a", "b"], "timesteps": [2.0, 1.0], "rows": ["##", "=."], "notes": {}}, "config": {"prompts": ["a red ring"], "classes": [], "seeds": [0], "steps": 2, "guidance_scale": 2.5, "scheduler": "default", "height": 128, "width": 128}, "score": {"clip_score": 30.5, "clip_backbone": "scenes-clip", "clip_scores": [30.0, 31.0], "psnr": 25.25, "ssim": 0.9, "latent_error": 0.01, "images": 2}, "wall_seconds": 1.5, "macs": 2.0, "full_macs": 4.0, "peak_cache_bytes": 16}');
CREATE TABLE searches (
            id TEXT PRIMARY KEY,
            created REAL NOT NULL,
            state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'paused', 'stopped', 'done', 'failed')),
            wanted TEXT NOT NULL CHECK (wanted IN ('run', 'pause', 'stop')),
            config TEXT NOT NULL,
            locked TEXT,
            error TEXT NOT NULL DEFAULT '',
            reference TEXT,
            baselines TEXT NOT NULL DEFAULT '{}',
            finalists TEXT NOT NULL DEFAULT '{}',
            calibration TEXT,
            worker_pid INTEGER,
            worker_started TEXT,
            heartbeat REAL
        ) STRICT;
INSERT INTO "searches" VALUES('00000000000000000000000000000001',1000.0,'paused','pause','{"model": "scenes-pixart", "prompts": ["a red ring", "a blue ball"], "image_seeds": [3, 4], "steps": 20, "guidance_scale": 2.5, "scheduler": "default", "budget": 0.5, "evaluations": 10, "seed": 1, "population": null, "sigma": 0.4, "method": "cma-es", "plans": 5}','["#?", "??"]','','{"clip_score": 30.5, "clip_backbone": "scenes-clip", "clip_scores": [30.0, 31.0], "psnr": 25.25, "ssim": 0.9, "latent_error": 0.01, "images": 2}','{"every 2": {"budget": 0.506, "score": {"clip_score": 30.5, "clip_backbone": "scenes-clip", "clip_scores": [30.0, 31.0], "psnr": 25.25, "ssim": 0.9, "latent_error": 0.01, "images": 2}}}','{}','null',NULL,NULL,1001.0);
CREATE INDEX searches_by_age ON searches (created);
CREATE INDEX runs_by_age ON runs (created);
COMMIT;
PRAGMA user_version = 4;
