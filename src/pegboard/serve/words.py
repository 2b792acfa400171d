"""What the pages say, in every language they speak. Keys are what is said, not how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Language = Literal["en", "de"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
NAMES: Mapping[Language, str] = {"en": "English", "de": "Deutsch"}

_ENGLISH = {
    "title": "What is on the photo?",
    "skip": "To the content",
    "intro": "Give a photo to the model {model}. It knows {count} classes.",
    "drop": "Drop a photo here, or paste one",
    "choose": "Choose a photo",
    "camera": "Use the camera",
    "snap": "Take the picture",
    "camera_close": "Close the camera",
    "camera_view": "What the camera sees",
    "camera_refused": "The camera cannot be used: {why}",
    "camera_insecure": "Browsers allow the camera on this machine and over HTTPS only.",
    "working": "Looking …",
    "answer": "Answer",
    "your_photo": "Your photo",
    "where": "Where the model looked",
    "where_hint": "Colour lies where hiding a part of the photo changes the answer most.",
    "where_working": "Drawing where it looked …",
    "where_failed": "Where it looked could not be drawn.",
    "alternatives": "Also possible",
    "sure": "sure",
    "unsure": "not sure",
    "unknown": "unknown",
    "sure_why": "Such answers were right on {precision} of validation photos or more.",
    "unsure_why": "The probability is too low to rely on the answer.",
    "no_limit_why": "Validation photos showed no probability from which on to rely on answers.",
    "unknown_why": "The photo is unlike those the model learned from.",
    "said": "{label}, {probability}, {decision}.",
    "wrong": "That is wrong",
    "it_is": "It is",
    "something_else": "something else …",
    "other_label": "What is it?",
    "consent": "I agree that this photo and my correction are stored here, to train with.",
    "consent_hint": "Place, time and camera in the file are not stored.",
    "send": "Send the correction",
    "stored": "Thank you. The photo is stored as {label}.",
    "failed": "That did not work: {why}",
    "unreachable": "the server does not answer",
    "no_photo": "that is no photo",
    "no_key": "the server was started anew; load this page again",
    "too_large": "the photo is too large",
    "busy": "the server has too much to do; try again",
    "refused": "the server refused (status {status})",
    "noscript": "This page needs JavaScript. Programs ask this server at /v1/predict.",
    "privacy": "Photos are answered and forgotten.",
    "privacy_feedback": "Photos are answered and forgotten, unless you agree below to store one.",
    "to_drift": "What was asked this week",
    "to_page": "Ask about a photo",
    "language": "Language",
    "key": "API key",
    "key_hint": "This server answers to those who have its key.",
    "key_wrong": "That is not the key.",
    "enter": "Enter",
    "drift_title": "This week against training",
    "drift_intro_one": "One photo was asked about in the last seven days with {model}.",
    "drift_intro": "{count} photos were asked about in the last seven days with {model}.",
    "drift_hint": "Only counts are kept, no photos. Differences are population stability indexes: "
    "by convention slight below .1 and large above .25; what chance alone may do is taken off.",
    "labels": "Classes answered, against classes in training",
    "decisions": "How sure it was, against validation photos",
    "confidence": "Probability of the answer, against validation photos",
    "brightness": "Mean brightness (0 to 255), against validation photos",
    "distance": "Distance from the nearest class of training photos (0° to 90°), against "
    "validation photos",
    "before": "training",
    "after": "this week",
    "step": "value",
    "is_same": "no change beyond chance",
    "is_other": "a change",
    "is_large": "a large change",
    "too_few": "too few photos yet to say",
    "not_told": "the bundle does not hold what to compare with",
    "index": "index {index}, chance up to {chance}",
    "chart": "{title}: {verdict}. The table below holds the figures.",
    "figures": "Figures",
}

_GERMAN = {
    "title": "Was ist auf dem Foto?",
    "skip": "Zum Inhalt",
    "intro": "Geben Sie dem Modell {model} ein Foto. Es kennt {count} Klassen.",
    "drop": "Foto hierher ziehen oder einfügen",
    "choose": "Foto auswählen",
    "camera": "Kamera benutzen",
    "snap": "Aufnehmen",
    "camera_close": "Kamera schließen",
    "camera_view": "Was die Kamera sieht",
    "camera_refused": "Die Kamera lässt sich nicht benutzen: {why}",
    "camera_insecure": "Browser erlauben die Kamera nur auf diesem Rechner und über HTTPS.",
    "working": "Ich schaue …",
    "answer": "Antwort",
    "your_photo": "Ihr Foto",
    "where": "Wohin das Modell geschaut hat",
    "where_hint": "Farbe liegt dort, wo das Verdecken die Antwort am meisten ändert.",
    "where_working": "Zeichne, wohin es geschaut hat …",
    "where_failed": "Wohin es geschaut hat, ließ sich nicht zeichnen.",
    "alternatives": "Auch möglich",
    "sure": "sicher",
    "unsure": "unsicher",
    "unknown": "unbekannt",
    "sure_why": "Solche Antworten waren bei mindestens {precision} der Validierungsfotos richtig.",
    "unsure_why": "Die Wahrscheinlichkeit ist zu gering, um sich darauf zu verlassen.",
    "no_limit_why": "Validierungsfotos zeigten keine Wahrscheinlichkeit, ab der auf Antworten "
    "Verlass ist.",
    "unknown_why": "Das Foto gleicht keinem, aus dem das Modell gelernt hat.",
    "said": "{label}, {probability}, {decision}.",
    "wrong": "Das stimmt nicht",
    "it_is": "Es ist",
    "something_else": "etwas anderes …",
    "other_label": "Was ist es?",
    "consent": "Dieses Foto und meine Korrektur dürfen hier zum Lernen gespeichert werden.",
    "consent_hint": "Ort, Zeit und Kamera aus der Datei werden nicht gespeichert.",
    "send": "Korrektur senden",
    "stored": "Danke. Das Foto ist als {label} gespeichert.",
    "failed": "Das ging nicht: {why}",
    "unreachable": "der Server antwortet nicht",
    "no_photo": "das ist kein Foto",
    "no_key": "der Server wurde neu gestartet; laden Sie diese Seite neu",
    "too_large": "das Foto ist zu groß",
    "busy": "der Server hat zu viel zu tun; versuchen Sie es noch einmal",
    "refused": "der Server hat abgelehnt (Status {status})",
    "noscript": "Diese Seite braucht JavaScript. Programme fragen diesen Server unter /v1/predict.",
    "privacy": "Fotos werden beantwortet und vergessen.",
    "privacy_feedback": "Fotos werden beantwortet und vergessen, außer Sie stimmen unten dem "
    "Speichern zu.",
    "to_drift": "Was diese Woche gefragt wurde",
    "to_page": "Nach einem Foto fragen",
    "language": "Sprache",
    "key": "API-Schlüssel",
    "key_hint": "Dieser Server antwortet denen, die seinen Schlüssel haben.",
    "key_wrong": "Das ist nicht der Schlüssel.",
    "enter": "Eintreten",
    "drift_title": "Diese Woche gegenüber dem Training",
    "drift_intro_one": "In den letzten sieben Tagen wurde {model} nach einem Foto gefragt.",
    "drift_intro": "In den letzten sieben Tagen wurde {model} nach {count} Fotos gefragt.",
    "drift_hint": "Gespeichert werden nur Anzahlen, keine Fotos. Unterschiede sind "
    "Populationsstabilitätsindizes: üblicherweise gering unter 0,1 und groß über 0,25; was allein "
    "der Zufall vermag, ist berücksichtigt.",
    "labels": "Genannte Klassen, gegenüber den Klassen im Training",
    "decisions": "Wie sicher es war, gegenüber den Validierungsfotos",
    "confidence": "Wahrscheinlichkeit der Antwort, gegenüber den Validierungsfotos",
    "brightness": "Mittlere Helligkeit (0 bis 255), gegenüber den Validierungsfotos",
    "distance": "Abstand von der nächsten Klasse der Trainingsfotos (0° bis 90°), gegenüber den "
    "Validierungsfotos",
    "before": "Training",
    "after": "diese Woche",
    "step": "Wert",
    "is_same": "keine Änderung über den Zufall hinaus",
    "is_other": "eine Änderung",
    "is_large": "eine große Änderung",
    "too_few": "noch zu wenige Fotos für eine Aussage",
    "not_told": "die Modelldatei enthält nichts zum Vergleichen",
    "index": "Index {index}, Zufall bis {chance}",
    "chart": "{title}: {verdict}. Die Tabelle darunter enthält die Zahlen.",
    "figures": "Zahlen",
}

WORDS: Mapping[Language, Mapping[str, str]] = {"en": _ENGLISH, "de": _GERMAN}


def language_of(asked: str | None, remembered: str | None, accepted: str) -> Language:
    """Return the language of a page.

    Parameters
    ----------
    asked, remembered
        Chosen on the page now, and before.
    accepted
        The browser's Accept-Language header.
    """
    for choice in (asked, remembered):
        for language in LANGUAGES:
            if choice == language:
                return language
    wanted = sorted(map(_weighed, accepted.split(",")), reverse=True)
    spoken = (name for weight, name in wanted if weight > 0)
    known = (language for name in spoken for language in LANGUAGES if name == language)
    return next(known, "en")


def _weighed(text: str) -> tuple[float, str]:
    tag, _, weight = text.partition(";")
    value = weight.strip().removeprefix("q=")
    try:
        share = float(value) if value else 1.0
    except ValueError:
        share = 0.0
    return share, tag.strip().lower().partition("-")[0]
