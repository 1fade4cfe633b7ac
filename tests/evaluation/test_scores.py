"""Scores: the path length, whose network computes in float32 in any setting."""

import torch

from tests.evaluation.small import evaluator, scores, small_generator


def test_a_path_length_is_the_same_in_parts_and_of_float32():
    [score] = scores(evaluator(["ppl"]))
    assert score.value > 0 and score.protocol["precision"] == "fp32" and score.protocol["num_reals"] == 0
    generator = small_generator()
    for block in generator.modules():
        if hasattr(block, "compute_dtype"):
            block.compute_dtype = torch.bfloat16
    assert scores(evaluator(["ppl"]), generator)[0].value == score.value
