# %% [markdown]
# # Tools: from an untidy folder to a usable model
#
# A neighbourhood lends each other tools. Somebody photographs one, and the platform should know
# what it is. We start with a folder of photos as people hand it in and end with one file that
# answers, and we look at everything on the way.
#
# The photos are drawn by pegboard itself, so everybody has them and nobody's licence is in the
# way. They hold what real folders hold: copies, wrong labels, damaged files. With your own
# folder, change `SOURCE` and nothing else. The notebook takes a few minutes on two cores and
# needs no network.

# %%
import os
from pathlib import Path

import pandas as pd
from IPython.display import display
from PIL import Image

import pegboard
from pegboard.examples import write_tool_photos

# %% parameters
PER_CLASS = 40  # drawn photos of each tool, on average
MODELS = "fastcnn,cnn4,probe,efficientnet_lite0:frozen"
EPOCHS = None  # None: as many as each model's recipe says
REAL_PHOTOS = False  # True: the 4,800 photos in $PEGBOARD_DATA/tools15

# %%
if REAL_PHOTOS:
    SOURCE = Path(os.environ["PEGBOARD_DATA"]) / "tools15"
    MERGE = {}
else:
    SOURCE = write_tool_photos("tool-photos", per_class=PER_CLASS, truth="truth.csv")
    MERGE = {"Pliers": "pliers"}

# %% [markdown]
# ## 1. What is in the folder?
#
# Before anything is trained, every file is opened once. Each ends in one of two places: used, or
# left out with a reason. Nothing is skipped silently.

# %%
from pegboard.intake import take_in
from pegboard.sources import open_source

intake = take_in(open_source(str(SOURCE)))
print(f"{intake.found} files: {len(intake.photos)} usable, {len(intake.left_out)} left out")
for warning in intake.warnings:
    print("note:", warning)

# %% [markdown]
# Two spellings of one class are one class: that is what `MERGE` above says, and on the command
# line `--merge Pliers=pliers`. It is a decision, so pegboard points it out and leaves it to you.
#
# ## 2. Train and compare
#
# One call does the rest: it finds duplicates, splits, trains every model, opens the test photos
# once at the end, and writes a folder with everything in it.
#
# | name | what it is |
# |---|---|
# | `fastcnn` | a small net with strided convolutions, from scratch |
# | `cnn4` | four convolutions and a dense layer, the reference project's basic CNN, from scratch |
# | `probe` | logistic regression on the features of EfficientNet-Lite0, trained on ImageNet |
# | `efficientnet_lite0:frozen` | a new head on the same features, trained by gradient descent |
#
# Add `efficientnet_lite0` to `MODELS` to fine-tune the backbone itself: it takes a few minutes more
# and is usually the best.

# %%
run = pegboard.compare(
    SOURCE, models=MODELS, epochs=EPOCHS, merge=MERGE, out="tools-run", overwrite=True
)

# %%
run

# %% [markdown]
# ## 3. What went in, and what did not
#
# Every file that was not used, with the reason. `label-conflict` is one photo under two labels:
# nobody but you knows which is right, so neither copy teaches anything. `rare-class` is a folder
# with too few photos to be learned *and* measured.

# %%
run.left_out

# %% [markdown]
# ### Class balance

# %%
run.plots.class_balance()

# %%
run.photos.groupby(["label", "split"]).size().unstack()[["train", "validation", "test"]]

# %% [markdown]
# The classes are uneven, as they are in most folders. Two things answer that: errors on rare
# classes weigh more in training, and the models are ranked by **macro-F1**, in which every class
# counts alike.
#
# ### Samples

# %%
run.plots.sample_grid()

# %% [markdown]
# ### The split does not leak
#
# Copies and second shots of one scene form a group. If one of them were in the training set and
# the other in the test set, the test would reward memory. So a group never crosses splits:

# %%
groups = run.photos.groupby("group")
print(f"{len(run.photos)} photos in {len(groups)} groups")
print(f"{(groups.size() > 1).sum()} groups of more than one photo")
print(f"splits per group, at most: {groups['split'].nunique().max()}")

# %% [markdown]
# ### What the model sees
#
# Photos come in all shapes; the network wants a square. How they are brought to it (cut, padded
# or squashed) is chosen on the validation photos and stored with the model, so that training,
# evaluation and use see the same pixels. In training every photo is shown a little differently
# each time: turned, shifted, magnified, mirrored, lighter or darker.

# %%
run.plots.augmentation_preview("fastcnn")

# %% [markdown]
# ## 4. Learning curves
#
# All models on one scale, then one by one: loss, accuracy and macro-F1 on training and validation
# photos. Where the validation loss rises while the training loss falls, a model learns the
# training photos by heart. The weights of the best epoch on validation are kept.

# %%
run.plots.all_learning_curves()

# %%
for model in run.models:
    if len(run.history(model)) > 1:
        print(model)
        display(run.plots.learning_curves(model))

# %% [markdown]
# ## 5. Leaderboard
#
# Measured once, on test photos that no model has seen. The interval matters more than the third
# digit: with few test photos it is wide. The row `majority` always answers the most frequent
# class; a model has to beat that clearly to have learned anything. (The stored times are those of
# a machine that was busy with other things; only their order means something.)

# %%
columns = ["accuracy", "accuracy_low", "accuracy_high", "macro_f1", "params", "train_seconds",
           "latency_ms_p50", "size_bytes", "collapsed"]  # fmt: skip
run.leaderboard[columns].round(3)

# %%
run.plots.accuracy_bars()

# %% [markdown]
# Is the best one *really* better? Two models that were asked about the same photos are compared
# photo by photo (McNemar's test, corrected for the number of comparisons).

# %%
run.comparisons.round(3)

# %%
print(run.summary)

# %% [markdown]
# Accuracy is not all: a model that runs on a small machine has to be quick. Models at the upper
# left are the ones to choose from: nothing else is both better and faster.

# %%
run.plots.pareto()

# %% [markdown]
# ## 6. What is confused with what
#
# Rows are the true classes, columns the answers; classes that are taken for each other stand side
# by side.

# %%
run.plots.confusion_matrix(order="similarity")

# %%
run.plots.confusion_matrix("fastcnn", order="similarity")

# %% [markdown]
# ### Per class
#
# **Precision**: of the photos called a hammer, how many are one. **Recall**: of the hammers, how
# many were called one. **F1** is their harmonic mean.

# %%
run.per_class().round(3)

# %%
run.plots.per_class_f1()

# %%
run.plots.precision_recall()

# %%
run.plots.roc()

# %% [markdown]
# ## 7. Can its probabilities be believed?
#
# Of all answers given with a probability of about 80 %, about 80 % should be right. Probabilities
# are calibrated on the validation photos (one temperature) before they are stored.

# %%
run.plots.reliability()

# %% [markdown]
# Whoever answers only when sure is wrong less often. How often, from the surest answers on the left
# to all of them on the right:

# %%
run.plots.coverage_risk()

# %% [markdown]
# ## 8. Mistakes
#
# The answers that were wrong although the model was surest. Look at them before you look for a
# better network: often it is the label that is wrong.

# %%
run.plots.mistakes()

# %% [markdown]
# ## 9. Where the labels are wrong
#
# These photos were drawn, so the truth is known for once. (It was written to `truth.csv`, and no
# model has seen it.) How many of the "mistakes" on the test photos are mistakes of the labels?

# %%
answers = run.predictions().query("split == 'test'")
if not REAL_PHOTOS:
    truth = pd.read_csv("truth.csv")[["path", "label_true"]]
    answers = answers.merge(truth, on="path")
    wrong = answers[answers["predicted"] != answers["label"]]
    right_after_all = wrong["predicted"] == wrong["label_true"]
    print(f"{len(wrong)} of {len(answers)} answers differ from the label;")
    print(f"in {right_after_all.sum()} of these the model is right and the label wrong")
    display(wrong.loc[right_after_all, ["path", "label", "predicted", "label_true"]])

# %% [markdown]
# ## 10. Check, decide, train again
#
# Nobody has to wait for a model's mistakes to find wrong labels. `pegboard.check` looks at every
# photo, the training photos too: damaged files, copies, odd photos, and labels that a classifier
# doubts which has not seen them. Nothing is changed.

# %%
found = pegboard.check(SOURCE, merge=MERGE, out="tools-check", overwrite=True)
found

# %%
suspects = found.findings.query("code == 'label-suspect' and severity == 'warning'")
suspects[["path", "score", "suggestion", "explanation"]].head(12)

# %% [markdown]
# On the command line `pegboard review` now shows these one by one beside the nearest photos of
# both classes, and takes one key per decision. A notebook cannot look at photos for you, so here
# the truth plays the reviewer: a suspect is relabelled when it really is what was suggested, and
# kept when its label was right.

# %%
if not REAL_PHOTOS:
    truth = pd.read_csv("truth.csv").set_index("path")["label_true"].replace(MERGE)
    labels = found.photos.set_index("path")["label"]
    for path in suspects["path"]:
        if truth[path] == labels[path]:
            found.decide(path, "keep", reviewer="truth")
        else:
            found.decide(path, "relabel", truth[path], reviewer="truth")
    decided = pd.read_csv(found.corrections)["action"].value_counts()
    display(decided.to_frame())

# %% [markdown]
# With the decisions, the best model is trained again on the same split, and judged before and
# after on the same test photos, by the corrected labels both times.

# %%
if not REAL_PHOTOS:
    corrected = pegboard.compare(
        SOURCE, models=run.best, epochs=EPOCHS, merge=MERGE, corrections=found.corrections,
        before=run.path, out="tools-corrected", overwrite=True,
    )  # fmt: skip
    print(corrected.summary)

# %% [markdown]
# ## 11. Beside the reference project
#
# The reference project classified 6,916 photos of 8 unbalanced classes, many of them mislabelled.
# None of them is used here: every column below is measured on photos of its own, so **the columns
# must not be read as a contest**. The drawn photos are easier in some ways (one tool, in the
# middle) and harder in others (few of them). The middle column comes from 4,800 real phone photos
# of 15 tools (`docs/benchmarks.md` has the commands and intervals).

# %%
reference = pd.DataFrame(
    [
        ("cnn4", "basic CNN", 0.527, 0.518, 0.372, 0.376),
        ("vgg16", "VGG16", 0.692, 0.678, None, None),
        ("mobilenetv2:frozen", "MobileNetV2, frozen", 0.814, 0.826, 0.838, 0.838),
        ("mobilenetv2", "MobileNetV2, fine-tuned: collapsed", 0.252, 0.050, None, None),
        ("xception:frozen", "", None, None, 0.875, 0.875),
        ("xception", "Xception, fine-tuned", 0.818, 0.830, None, None),
        ("probe", "", None, None, 0.867, 0.866),
        ("efficientnet_lite0", "", None, None, 0.906, 0.905),
    ],
    columns=["model", "reference model", "reference accuracy", "reference macro-F1",
             "15 real tools: accuracy", "15 real tools: macro-F1"],
).set_index("model")  # fmt: skip
here = run.leaderboard[["accuracy", "macro_f1"]].add_prefix("here: ")
reference.join(here, how="outer").round(3).fillna("")

# %% [markdown]
# What carries over is the order of things: nets from scratch need far more photos than a few
# hundred, and here they hardly beat guessing; features learned on ImageNet do most of the work;
# fine-tuning adds to that when its rate is small and its head does not start at random. In the
# reference project MobileNetV2 was unfrozen at a rate of 1e-3 and collapsed; a collapsed model is
# marked in the leaderboard (`collapsed`) with the reason.
#
# ## 12. Use it
#
# Every model is one file that needs no PyTorch. The best one, on photos it has never met:

# %%
model = run.load()
new = write_tool_photos("new-photos", per_class=1, seed=1000, untidy=False)
photo = sorted(new.rglob("*.jpg"))[1]
display(Image.open(photo))
model.predict(photo)

# %%
model.predict(sorted(new.rglob("*.jpg")))

# %% [markdown]
# `sure` means that the probability reaches the threshold above which 95 % of the validation
# answers were right. The page to hand in is `tools-run/report.html`; it holds these figures and
# opens without a network. In another program, `pegboard.load(…)` reads the file named here:

# %%
bundle = run.path / "models" / run.best.replace(":", "-")
for file in sorted(bundle.glob("*.pegboard")):
    print(file.as_posix(), f"{file.stat().st_size / 1e6:.1f} MB")
