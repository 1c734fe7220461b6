"""Logs of real trainers, in their layouts, read as a user would expect: the columns are found, or asked about."""

from __future__ import annotations

import json

import numpy as np
import pytest

import simlab as sl
from simlab.schedules import from_csv, from_log


@pytest.fixture
def log(tmp_path):
    """Writes a log; returns its path."""

    def write(content, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


LIGHTNING = "epoch,lr-AdamW,step,train/loss\n,0.001,0,\n0,,0,2.31\n,0.001,50,\n0,,99,1.9\n,0.0005,100,\n"
RESUMED = "step,lr,loss\n0,0.10,2.3\n10,0.09,2.1\n20,0.08,2.0\n30,0.07,1.9\n20,0.06,2.0\n40,0.05,1.8\n"
EXCEL = b"\xef\xbb\xbfstep;lr\r\n0;0,1\r\n1;0,05\r\n"
TENSORBOARD = "Wall time,Step,Value\n1654943296.2,0,1e-3\n1654943313.7,100,5e-4\n1654943332.3,200,1e-4\n"
WANDB = (
    '"Step","run-7 - train/lr","run-7 - train/lr__MIN","run-7 - train/lr__MAX","run-8 - train/lr"\n'
    '"0","0","0","0","0.001"\n"10","0.0005","0.0005","0.0005",""\n"20","0.001","0.001","0.001","0.0005"\n'
)
OLMO = (
    "_step,throughput/total_tokens,optim/learning_rate_group0,optim/learning_rate_group1,train/CrossEntropyLoss\n"
    "10,10485760,0.0001,0.0001,9.1\n20,20971520,0.0002,0.0002,7.4\n40,41943040,0.0004,0.0004,6.2\n"
)
FAIRSEQ = "".join(
    json.dumps(
        {"epoch": 1, "update": n / 1000, "loss": str(9 - n / 100), "lr": f"{n * 1.25e-7:g}", "num_updates": str(n)}
    )
    + "\n"
    for n in (100, 200, 300)
)
FAIRSEQ_PRINTED = "2024-02-29 08:01:26 | INFO | fairseq.trainer | begin training epoch 1\n" + "".join(
    f"2024-02-29 08:01:49 | INFO | train_inner | {line}\n" for line in FAIRSEQ.splitlines()
)
MEGATRON = """> building train dataset ...
[default3]: iteration       10/  292968 | consumed samples:  10240 | elapsed time per iteration (s): 35.8 | \
learning rate: 4.734E-06 | global batch size:  1024 | lm loss: 1.332803E+01 | grad norm: 42.627 |
time (ms)
[default3]: iteration       20/  292968 | consumed samples:  20480 | elapsed time per iteration (s): 35.8 | \
learning rate: 9.468E-06 | global batch size:  1024 | lm loss: 1.132803E+01 | grad norm: 12.627 |
"""
DEEPSPEED = "step,lr\n64,1e-05\n128,2e-05\nstep,lr\n192,3e-05\n"  # resumed
LIGHTNING_GROUPS = (
    "epoch,lr-AdamW/pg1,lr-AdamW/pg1-momentum,lr-AdamW/pg2,lr-AdamW/pg1-weight_decay,step,train/loss_epoch,val/loss\n"
    ",1e-5,0.9,1e-4,0.01,0,,\n0,,,,,1,5.0,\n,3e-5,0.9,3e-4,0.01,2,,\n0,,,,,2,,5.5\n1,,,,,2,4.0,\n"
)
MMCV = "".join(
    json.dumps(row) + "\n"
    for row in (
        {"env_info": "sys.platform: linux", "seed": 0},
        {"mode": "train", "epoch": 1, "iter": 100, "lr": 6e-5, "memory": 8407, "loss": 0.9, "time": 0.3},
        {"mode": "val", "epoch": 1, "iter": 40, "lr": 5.9e-5, "mIoU": 0.4},
        {"mode": "train", "epoch": 1, "iter": 200, "lr": 5e-5, "memory": 8407, "loss": 0.8, "time": 0.3},
        {"mode": "val", "epoch": 1, "iter": 40, "lr": 4.9e-5, "mIoU": 0.5},
    )
)
MMENGINE = "".join(
    json.dumps(row) + "\n"
    for row in (
        {"lr": 4e-3, "data_time": 0.01, "loss": 1.9, "epoch": 1, "iter": 50, "memory": 9, "step": 50},
        {"coco/bbox_mAP": 0.2, "data_time": 0.01, "step": 1},
        {"lr": 2e-3, "data_time": 0.01, "loss": 1.5, "epoch": 2, "iter": 100, "memory": 9, "step": 100},
    )
)
DETECTRON = "".join(
    json.dumps({"data_time": 0.008, "eta_seconds": 99.0, "iteration": n, "lr": rate, "total_loss": 1.92}) + "\n"
    for n, rate in ((19, 1e-3), (39, 2e-3))
)
ULTRALYTICS = (
    "                  epoch,         train/box_loss,                 lr/pg0,                 lr/pg1\n"
    "                      1,                1.19280,               0.070000,              0.0033300\n"
    "                      2,                1.09280,               0.010000,              0.0066300\n"
)
TIMM = "epoch,train_loss,eval_top1,eval_top5,lr\n0,1.5266,78.36,99.28,0.05\n1,1.2209,81.39,99.24,0.045\n"
KERAS = "epoch,accuracy,learning_rate,loss\n0,0.5,0.1,1.2\n1,0.6,0.1,1.0\n2,0.7,0.01,0.8\n"
COMPOSER = "".join(
    json.dumps({"step": n, "lr": {"Adam": {"group0": 0.1 * (3 - n) / 3}}, "metrics": {"train": {"loss": 3.0 - n}}})
    + "\n"
    for n in range(3)
)
TRAINER_STATE = json.dumps(
    {
        "global_step": 30, "max_steps": 30, "best_metric": None,
        "log_history": [
            {"step": 10, "epoch": 0.5, "loss": 2.1, "learning_rate": 5e-5, "grad_norm": 1.2},
            {"step": 15, "epoch": 0.7, "eval_loss": 2.0, "eval_runtime": 3.2},
            {"step": 20, "epoch": 1.0, "loss": 1.9, "learning_rate": 3e-5},
            {"step": 30, "epoch": 1.5, "loss": 1.8, "learning_rate": 1e-5},
            {"step": 30, "train_loss": 1.93, "train_runtime": 99.0},
        ],
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("content", "name", "options", "knots", "losses"),
    [
        (LIGHTNING, "metrics.csv", {}, {0: 1e-3, 50: 1e-3, 75: 7.5e-4, 100: 5e-4}, {"train/loss": [0, 99]}),
        (TENSORBOARD, "lr.csv", {}, {0: 1e-3, 50: 7.5e-4, 200: 1e-4}, {}),
        (EXCEL, "excel.csv", {}, {0: 0.1, 1: 0.05}, {}),
        (WANDB, "w.csv", {"lr": "run-7 - train/lr"}, {0: 0.0, 10: 5e-4, 15: 7.5e-4, 20: 1e-3}, {}),
        (OLMO, "o.csv", {}, {0: 1e-4, 10: 1e-4, 30: 3e-4}, {"train/CrossEntropyLoss": [10, 20, 40]}),
        (
            OLMO, "o.csv", {"step": "throughput/total_tokens", "every": 1 << 20}, {10: 1e-4, 30: 3e-4, 40: 4e-4},
            {"train/CrossEntropyLoss": [10, 20, 40]},
        ),
        (FAIRSEQ, "log.jsonl", {}, {100: 1.25e-5, 150: 1.875e-5}, {"loss": [100, 200, 300]}),
        (FAIRSEQ_PRINTED, "train.log", {}, {100: 1.25e-5, 150: 1.875e-5}, {"loss": [100, 200, 300]}),
        (MEGATRON, "megatron.out", {}, {10: 4.734e-6, 15: 7.101e-6, 20: 9.468e-6}, {"lm loss": [10, 20]}),
        ("Step 7 | loss:1.2 lr:2e-05 tok/s:100 \nStep 8 | loss:1.1 lr:1e-05\n", "torchtune.txt", {}, {7: 2e-5, 8: 1e-5},
         {"loss": [7, 8]}),
        ("hello\niter 0: loss 10.9, time 9ms, lr 1e-3\niter 10: loss 9.5, time 9ms, lr 5e-4\n", "out.log", {},
         {0: 1e-3, 10: 5e-4}, {"loss": [0, 10]}),
        ("{'loss': 2.1, 'learning_rate': 5e-05, 'epoch': 0.5}\n{'loss': 1.9, 'learning_rate': 3e-05, 'epoch': 1.0}\n",
         "stdout.txt", {"step": "epoch", "every": 0.01}, {50: 5e-5, 75: 4e-5, 100: 3e-5}, {"loss": [50, 100]}),
        (json.dumps({"step": [0, 2], "lr": [0.3, 0.1], "loss": [3.0, 2.0]}), "columns.json", {}, {0: 0.3, 1: 0.2},
         {"loss": [0, 2]}),
        (DEEPSPEED, "Train_Samples_lr.csv", {"every": 64, "first_step": 1}, {0: 1e-5, 1: 2e-5, 2: 3e-5}, {}),
        (
            LIGHTNING_GROUPS, "metrics.csv", {"lr": "lr-AdamW/pg1"}, {0: 1e-5, 1: 2e-5, 2: 3e-5},
            {"train/loss_epoch": [1, 2], "val/loss": [2]},
        ),
        (MMCV, "20211111.log.json", {}, {100: 6e-5, 150: 5.5e-5, 200: 5e-5}, {"loss": [100, 200]}),
        (MMENGINE, "scalars.json", {}, {50: 4e-3, 100: 2e-3}, {"loss": [50, 100]}),
        (DETECTRON, "metrics.json", {"between": "hold"}, {19: 1e-3, 38: 1e-3, 39: 2e-3}, {"total_loss": [19, 39]}),
        (
            ULTRALYTICS, "results.csv", {"step": "epoch", "every": 0.02, "first_step": 1, "lr": "lr/pg0"},
            {49: 0.07, 99: 0.01}, {"train/box_loss": [49, 99]},
        ),
        (TIMM, "summary.csv", {"step": "epoch", "every": 0.01}, {0: 0.05, 100: 0.045}, {"train_loss": [0, 100]}),
        (KERAS, "k.csv", {"step": "epoch", "every": 0.01, "between": "hold"}, {0: 0.1, 199: 0.1, 200: 0.01},
         {"loss": [0, 100, 200]}),
        (COMPOSER, "c.jsonl", {}, {0: 0.1, 1: 0.2 / 3}, {"metrics/train/loss": [0, 1, 2]}),
        (TRAINER_STATE, "trainer_state.json", {}, {10: 5e-5, 15: 4e-5, 30: 1e-5},
         {"loss": [10, 20, 30], "eval_loss": [15], "train_loss": [30]}),
    ],
    ids=[
        "lightning", "tensorboard", "excel", "wandb", "olmo", "tokens", "fairseq", "fairseq-printed", "megatron",
        "torchtune", "printed", "printed-dicts", "columns", "deepspeed", "lightning-groups", "mmcv", "mmengine",
        "detectron", "ultralytics", "timm", "keras", "mosaic", "transformers",
    ],
)  # fmt: skip
def test_layouts(log, content, name, options, knots, losses):
    schedule = from_log(log(content, name), **options)
    for step, rate in knots.items():
        assert schedule(step) == pytest.approx(rate, rel=1e-12), step
    assert {key: value[:, 0].tolist() for key, value in schedule.losses.items()} == losses


def test_the_later_row_of_a_step_is_taken_with_a_notice(log):
    with pytest.warns(UserWarning, match=r"1 rows name a step that an earlier row names \(the first is line 6\)"):
        schedule = from_log(log(RESUMED))
    assert (schedule(20), schedule(30), schedule(40)) == (0.06, 0.07, 0.05)
    assert schedule.losses["loss"][:, 0].tolist() == [0, 10, 20, 30, 20, 40]


def test_a_log_is_brought_to_the_scale_of_a_quadratic(log):
    path = log(TENSORBOARD)
    assert from_log(path, peak=0.3).peak() == pytest.approx(0.3, rel=1e-15)
    assert from_log(path, scale=100.0)(200) == pytest.approx(0.01)
    assert from_log(path, peak=0.3).values()[100] / 0.3 == pytest.approx(0.5)
    assert len(from_log(path, steps=50)) == 50
    problem = sl.LinearRegression([1.0, 0.1], 1.0, 0.1)
    assert sl.exact(problem, sl.methods.sgd(from_log(path, peak=0.3)), progress=False).state.step == 201


def test_what_from_csv_reads_is_the_same(log):
    path = log(TENSORBOARD)
    assert from_log(path) == from_csv(path, "Value", "Step")
    assert from_log(path, peak=0.3) == from_csv(path, "Value", "Step", peak=0.3)
    np.testing.assert_array_equal(from_log(path).values(), from_csv(path, "Value", "Step").values())


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (WANDB, {}, "has 2 columns of learning rates that are not the same; choose one by lr: run-7 - train/lr, run-8"),
        (
            '{"_step": 3, "trainer/global_step": 49, "lr": 0.1}\n{"_step": 4, "trainer/global_step": 99, "lr": 0.1}',
            {},
            "has 2 columns of steps that are not the same; choose one by step: _step, trainer/global_step",
        ),
        (ULTRALYTICS, {"step": "epoch"}, "2 columns of learning rates that are not .*; choose .*: lr/pg0, lr/pg1"),
        ("iteration 5/ 9 | lm loss: 3.0 |\n", {}, "no column of learning rates that is known by its name"),
        ("{'step': 0, 'lr': open('x')}\n", {}, "line 1 is no JSON"),
        ('{"step": 0, "lr": ' + "[" * 99_999, {}, "line 1 is no JSON"),
        ('{"step": 0, "lr": ' + "9" * 9_999 + "}", {}, "line 1 is no JSON"),
        (KERAS, {}, "has no column of steps that is known by its name; name it by step: epoch, accuracy"),
        (KERAS, {"step": "epochs"}, "has no column 'epochs'; its columns are epoch, accuracy, learning_rate, loss"),
        ("step,loss\n0,1\n", {}, "has no column of learning rates that is known by its name; name it by lr"),
        ("step,lr\n0,0\n5,0\n", {}, "every lr is 0, and such a run does not move"),
        ("step,lr\n1,.1\n2,.1\n3,.1\n", {}, r"its steps are 1 .. 3; give first_step = 1 if"),
        ("step,lr\n0,.1\n9,.1\n3,.1\n9,.1\n5,.1\n", {}, r"its steps go back 2 times \(lines 4, 6\)"),
        ("step,lr\n0,.1\n3,x\n", {}, "line 3: lr = x; give a finite number"),
        ("step,lr\n0,.1\n3.5,.1\n", {}, "line 3: step = 3.5; give a whole number of steps"),
        ("step,lr\n0,.1\n4000000000,.1\n", {}, "step reaches 4000000000, a run of more than 100,000,000 steps"),
        ("step,lr,lr\n0,.1,.1\n", {}, "has two columns called 'lr'; rename one"),
        ("", {}, "is empty; give a log with a header and rows"),
        ('{"step": 0, "lr": 0.1}\n{"step": 1, "lr"', {}, "line 2 is no JSON"),
        ("[1, 2]", {}, "entry 1 holds no rows"),
        ('{"log_history": []}', {}, "holds no rows"),
        (TENSORBOARD, {"scale": 2.0, "peak": 0.1}, "scale and peak are both given"),
        (TENSORBOARD, {"between": "cubic"}, "'cubic' is not known"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*rows name a step")
def test_what_is_not_plain_is_asked_about(log, content, options, said):
    with pytest.raises(sl.InputError, match=said) as raised:
        from_log(log(content), **options)
    assert "\n" not in str(raised.value)


@pytest.mark.filterwarnings("ignore:.*rows name a step")
def test_restarts_that_are_meant(log):
    path = log("step,lr\n0,.1\n9,.2\n3,.3\n9,.4\n5,.5\n")
    assert from_log(path, restarts="later").values()[[3, 5, 9]].tolist() == [0.3, 0.5, 0.4]


def test_real_curves(shared_data):
    """What stands in the repository of the multi-power law, beside what it says of itself."""
    path = shared_data / "loss_curves/multi_power_law/25M/cosine_24000.csv"
    schedule = from_log(path)
    assert len(schedule) == pytest.approx(24_000, abs=200)
    assert schedule.losses
    assert schedule.peak() == pytest.approx(3e-4, rel=0.01)
