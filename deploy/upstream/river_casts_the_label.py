"""River: `LogisticRegression.learn_one(x, .3)` learns nothing: its loss casts y to an integer (optim/losses.py)."""

from river.linear_model import LogisticRegression

model = LogisticRegression()
model.learn_one({"a": 1.0}, 0.3, w=10)
there = not any(model.weights.values())
print(
    f"after learning a share: {dict(model.weights)}" if there else "mended: something is learned from a share"
)
raise SystemExit(0 if there else 1)
