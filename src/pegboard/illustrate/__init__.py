"""What a report shows of photos, made at the end of a run while the photos are at hand.

``choice`` says which photos, ``nearest`` finds the training photos most like them, ``make`` puts
it all together within the time there is.
"""

from __future__ import annotations

from pegboard.illustrate.choice import Exhibit
from pegboard.illustrate.make import MOST_SECONDS, illustrate

__all__ = ["MOST_SECONDS", "Exhibit", "illustrate"]
