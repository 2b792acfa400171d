"""What the report shows of one model."""

from __future__ import annotations

from dataclasses import dataclass

from pegboard.report.pieces import Chart, Fact, Number, PhotoView


@dataclass(frozen=True)
class Cell:
    """One cell of a confusion matrix: photos of one true class with one answer.

    Attributes
    ----------
    true, predicted
        Places of the classes.
    count
        Photos; empty for none.
    percent
        Share of the row; empty for none.
    css
        Names of its shade.
    words
        The cell read out.
    """

    true: int
    predicted: int
    count: str
    percent: str
    css: str
    words: str


@dataclass(frozen=True)
class ConfusionRow:
    """One true class with a cell for each predicted one."""

    label: str
    support: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix to click on.

    Attributes
    ----------
    rows
        In the order of the classes.
    similarity
        The places of the classes in the order that puts those side by side which are often
        taken for one another, separated by spaces.
    """

    rows: tuple[ConfusionRow, ...]
    similarity: str


@dataclass(frozen=True)
class ConfusionEntry:
    """One kind of mistake: how many photos of ``true`` were taken for ``predicted``."""

    true: str
    predicted: str
    cell: Cell


@dataclass(frozen=True)
class ExampleRow:
    """Photos of one kind: taken for another class, or recognised.

    Attributes
    ----------
    title
        What they have in common.
    photos
        A few of them.
    cell
        The cell of the matrix that holds them all.
    """

    title: str
    photos: tuple[PhotoView, ...]
    cell: Cell


@dataclass(frozen=True)
class ConfusedPair:
    """Two classes that are taken for one another, with photos of both directions and right ones."""

    one: str
    other: str
    count: int
    examples: tuple[ExampleRow, ...]


@dataclass(frozen=True)
class MistakeView:
    """A wrong answer.

    Attributes
    ----------
    title
        What was taken for what.
    said
        The probabilities of the answer and of the true class.
    photo
        The photo.
    heat
        Where the model looked; None if that was not computed.
    neighbours
        The training photos most like it.
    cell
        The cell of the matrix it belongs to.
    """

    title: str
    said: str
    photo: PhotoView
    heat: PhotoView | None
    neighbours: tuple[PhotoView, ...]
    cell: Cell


@dataclass(frozen=True)
class ClassRow:
    """Figures of one class on the test photos.

    Attributes
    ----------
    label, support
        Name and number of test photos.
    precision, recall, f1
        With intervals.
    believed
        Mean probability of the answers that named this class: as high as the precision where
        probabilities can be trusted.
    mistaken_for
        The class it was most often taken for; empty if none.
    """

    label: str
    support: Number
    precision: Number
    recall: Number
    f1: Number
    believed: Number
    mistaken_for: str


@dataclass(frozen=True)
class LayerView:
    """One row of a layer table."""

    name: str
    kind: str
    shape: str
    parameters: str


@dataclass(frozen=True)
class Anatomy:
    """How a model is built and was trained.

    Attributes
    ----------
    recipe
        Name and value of what decides its training and its input.
    recipe_json
        The same, whole, as indented JSON; empty if unknown.
    layers
        The network; empty if it was not kept.
    parameters
        Of all layers.
    """

    recipe: tuple[tuple[str, str], ...]
    recipe_json: str
    layers: tuple[LayerView, ...]
    parameters: str


@dataclass(frozen=True)
class Sight:
    """What a model sees.

    Attributes
    ----------
    words
        Size and fit.
    seen
        Photos as they enter the model.
    augmented
        Rows of one photo as training changes it at random.
    """

    words: str
    seen: tuple[PhotoView, ...]
    augmented: tuple[tuple[PhotoView, ...], ...]


@dataclass(frozen=True)
class Card:
    """The model card, in short.

    Attributes
    ----------
    facts
        Name and value.
    link
        The whole card, relative to the report; empty if it was not written.
    """

    facts: tuple[tuple[str, str], ...]
    link: str


@dataclass(frozen=True)
class Deciding:
    """When a model answers, and how often it is wrong then.

    Attributes
    ----------
    words
        Shares of sure, unsure and unknown, wrong ones, limits, in sentences; empty where the
        run holds no bundle.
    chart
        Risk against coverage.
    """

    words: tuple[str, ...]
    chart: Chart


@dataclass(frozen=True)
class ModelSection:
    """All that is said of one model.

    Attributes
    ----------
    name, anchor
        As in the leaderboard.
    best
        Whether it is the best on the validation photos.
    collapsed_reason
        Why it counts as collapsed; empty otherwise.
    facts
        Its main figures.
    notes
        What happened in training, in sentences.
    matrix
        The confusion matrix; None with more than 30 classes.
    confusion_chart
        The matrix as a picture; None if it cannot be drawn.
    confusions
        The most frequent mistakes.
    pairs
        The most confused pairs of classes with photos; empty without pictures.
    mistakes
        Wrong answers, those given with the highest probability first.
    mistakes_note
        What the pictures beside them are.
    classes
        Figures per class.
    charts_of_classes
        F1 of every class, precision against recall, and true against false positive rate.
    curves
        Learning curves; None for a model that does not learn by epochs.
    reliability
        Reliability diagram.
    deciding
        When it answers; None where that cannot be drawn.
    sight
        What it sees.
    anatomy
        How it is built and was trained.
    card
        The model card.
    """

    name: str
    anchor: str
    best: bool
    collapsed_reason: str
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    matrix: Matrix | None
    confusion_chart: Chart | None
    confusions: tuple[ConfusionEntry, ...]
    pairs: tuple[ConfusedPair, ...]
    mistakes: tuple[MistakeView, ...]
    mistakes_note: str
    classes: tuple[ClassRow, ...]
    charts_of_classes: tuple[Chart, ...]
    curves: Chart | None
    reliability: Chart | None
    deciding: Deciding | None
    sight: Sight
    anatomy: Anatomy
    card: Card
