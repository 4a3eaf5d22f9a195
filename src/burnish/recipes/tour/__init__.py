"""The stops of `burnish tour`: one file for each discipline, each a small job of its own."""

from burnish.base.registry import Registry
from burnish.recipes.tour.stop import Stop

stops: Registry[Stop] = Registry("tour stop", "burnish.recipes.tour")
