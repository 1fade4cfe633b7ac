"""Directions that images are moved along: found, saved, and applied with strengths.

direction   a direction in w or of one style channel, and its file
movement    several with their strengths, as every task applies them
moments     mean and covariance of w
linear      closed-form factors, principal components, what is projected out
boundary    from latents with scores, by logistic regression
channels    style channels, ranked
finding     all of these for a network
showing     sheets and videos along a direction
"""
