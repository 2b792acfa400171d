# %% [markdown]
# # Digits: six networks, from a line to a deep net
#
# The exercise every course begins with: handwritten digits, and networks that grow from a linear
# model to four convolutions. Here all six are trained, drawn, measured and compared by one call,
# on the 1,797 digits of 8 x 8 pixels that scikit-learn brings along. With `MNIST = True` the same
# cells run on the 70,000 digits of MNIST, as the reference project did.

# %%
import os
from pathlib import Path

import pandas as pd
from IPython.display import display
from PIL import Image

import pegboard
from pegboard.describe import describe_model
from pegboard.sources import open_source

# %% parameters
MNIST = False  # True: $PEGBOARD_DATA/mnist.npz
MODELS = ["lm", "nn", "dnn", "dnnd", "cnn", "dcnn"]
EPOCHS = None  # None: as many as each model's recipe says
RECIPE = "default"  # "notebook": as in the reference project, Adam at 1e-3, batches of 32

# %%
SOURCE = str(Path(os.environ["PEGBOARD_DATA"]) / "mnist.npz") if MNIST else "digits"

# %% [markdown]
# ## 1. The networks
#
# `lm` is linear. `nn` has one hidden layer of 400, `dnn` a second of 100, and `dnnd` is `dnn` with
# dropout. `cnn` puts two convolutions before the dense layer, `dcnn` four. Here they are for
# pictures of 28 x 28, as in the reference project.

# %%
for name in MODELS:
    print(describe_model(name)[0], end="\n\n\n")

# %% [markdown]
# The parameters are those of the reference project's own summaries, to the last one:

# %%
summaries = {"dnnd": 355_110, "cnn": 650_714, "dcnn": 696_890}
pd.DataFrame(
    {
        "reference": summaries,
        "pegboard": {name: describe_model(name)[1]["parameters"] for name in summaries},
    }
)

# %% [markdown]
# ## 2. Train and compare
#
# The digits are split once; every network sees the same training digits and is measured once, on
# the same test digits, when all is trained.

# %%
run = pegboard.compare(
    SOURCE, models=MODELS, epochs=EPOCHS, recipe=RECIPE, out="digits-run", overwrite=True
)

# %%
run

# %% [markdown]
# ### The data

# %%
run.plots.class_balance()

# %%
run.plots.sample_grid()

# %% [markdown]
# The networks are shown every digit shifted by a pixel or so, a little differently each time.
# Nothing is mirrored: a mirrored 2 is no 2.

# %%
run.plots.augmentation_preview("cnn")

# %% [markdown]
# ## 3. Curves of loss and accuracy

# %%
run.plots.all_learning_curves()

# %%
for model in MODELS:
    print(model)
    display(run.plots.learning_curves(model))

# %% [markdown]
# The numbers behind a figure are a data frame:

# %%
run.history("cnn").tail().round(4)

# %% [markdown]
# ## 4. Accuracy, precision and recall
#
# (The stored times are those of a machine that was busy with other things.)

# %%
figures = ["accuracy", "accuracy_low", "accuracy_high", "macro_precision", "macro_recall",
           "macro_f1", "loss", "train_seconds", "latency_ms_p50"]  # fmt: skip
run.leaderboard[figures].round(4)

# %%
run.plots.accuracy_bars()

# %%
run.plots.pareto()

# %% [markdown]
# Which differences are more than chance? `verdict` says which of the two is better, or that
# neither is shown to be, after Holm's correction for the number of pairs.

# %%
run.comparisons.round(4)

# %%
print(run.summary)

# %% [markdown]
# The best network is the one with the highest macro-F1 on the *validation* digits, and it need not
# be first on the test digits. Taking the first there instead would be choosing on the test: the
# figure would then be that of the luckiest of six, and too good. The intervals overlap, and
# the comparisons say the same: on so few digits these networks are tied.
#
# ### Digit by digit, for the best network

# %%
run.per_class().round(4)

# %%
run.plots.per_class_f1()

# %%
run.plots.precision_recall()

# %%
run.plots.roc()

# %% [markdown]
# ## 5. Confusion matrices
#
# Rows are what was written, columns what was read.

# %%
for model in MODELS:
    print(model)
    display(run.plots.confusion_matrix(model))

# %%
run.confusion("lm")

# %% [markdown]
# ## 6. Mistakes of the linear model, and how sure it was

# %%
run.plots.mistakes("lm")

# %%
run.plots.reliability("lm")

# %%
run.plots.coverage_risk("lm")

# %% [markdown]
# ## 7. An example prediction
#
# One test digit, enlarged, and what the best network says about it.

# %%
path = run.predictions().query("split == 'test'")["path"].iloc[0]
pixels = open_source(SOURCE).read(path)
display(Image.fromarray(pixels[:, :, 0]).resize((140, 140), Image.Resampling.NEAREST))
run.load().predict(pixels)

# %%
run.predictions().set_index("path").loc[[path]].round(3)

# %% [markdown]
# ## 8. Beside the reference project
#
# The reference project trained on MNIST: 50,000 digits to train, 10,000 to validate, 10,000 to
# test, 20 epochs of Keras. The middle column is pegboard on the same digits with its default
# recipe (`docs/benchmarks.md` has the command, the times and the intervals). The last is this
# run: **other digits, forty times fewer of them**, and a test set so small that one digit more or
# less moves the third decimal.

# %%
ours = {"lm": 0.9206, "nn": 0.9861, "dnn": 0.9890, "dnnd": 0.9853, "cnn": 0.9941, "dcnn": 0.9948}
table = pd.DataFrame(
    {
        "reference, MNIST": {"dnnd": ".980", "cnn": ".991 to .993", "dcnn": ".991 to .993"},
        "pegboard, MNIST": ours,
        "this run": run.leaderboard["accuracy"].round(4),
    }
)
table.loc[MODELS].fillna("")
