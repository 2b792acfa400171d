"""A bundle behind HTTP: an interface for programs, and a page with a camera for people.

How a photo passes::

    connections   who may hold a connection open, and for how long
    gate          host, key, size and time; one log line and one count per request
    api, pages    what was asked for
    engine        decode in threads, answer in batches, refuse what would wait too long
    models        the bundle that answers now, and its successor when the file changes

Photos are kept in memory only, and nowhere once they are answered: logs, figures and the page
about drift hold counts. A photo is stored only where its sender agreed, when correcting an answer.
"""
