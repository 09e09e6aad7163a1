"""Embeddings: texts as points, fine-tuned so that search finds the right one first."""

from ftkit.embed.recipe import Embed
