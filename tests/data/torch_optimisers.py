"""What PyTorch's optimisers and schedules give, as the tables of tests/optimisers.rs. In float64, so that it serves as the truth.

    apt-get install python3-torch                # 1.13; any later version has the same definitions
    /usr/bin/python3 tests/data/torch_optimisers.py
"""
import torch
from torch.optim import SGD, Adagrad, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LinearLR, OneCycleLR, SequentialLR, StepLR

torch.set_default_dtype(torch.float64)
COUNT, STEPS = 5, 12


def gradient(step):
    return torch.tensor([((7 * step + 3 * i) % 11 - 5) / 8 for i in range(COUNT)])


def trained(make):
    theta = torch.tensor([(i - 2) / 4 for i in range(COUNT)], requires_grad=True)
    optimiser = make([theta])
    for step in range(STEPS):
        theta.grad = gradient(step)
        optimiser.step()
    return ", ".join(f"{x:.12f}" for x in theta.tolist())


print("optimisers")
for name, make in [
    ("sgd", lambda p: SGD(p, lr=0.1, weight_decay=0.01)),
    ("momentum", lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01)),
    ("nesterov", lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)),
    ("rmsprop", lambda p: RMSprop(p, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0.01)),
    ("rmsprop with momentum", lambda p: RMSprop(p, lr=0.01, alpha=0.99, eps=1e-8, momentum=0.9, weight_decay=0.01)),
    ("adagrad", lambda p: Adagrad(p, lr=0.1, eps=1e-10, weight_decay=0.01)),
    ("adam", lambda p: Adam(p, lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)),
    ("adamw", lambda p: AdamW(p, lr=0.01, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)),
]:
    print(f"{name}: [{trained(make)}]")


def rates(make, steps):
    optimiser = SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule, found = make(optimiser), []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return ", ".join(f"{x:.9f}" for x in found)


def warmed(optimiser):
    rise = LinearLR(optimiser, start_factor=1 / 4, total_iters=3)
    return SequentialLR(optimiser, [rise, CosineAnnealingLR(optimiser, T_max=17)], milestones=[3])


print("schedules")
for name, make in [
    ("step", lambda o: StepLR(o, step_size=6, gamma=0.5)),
    ("exponential", lambda o: ExponentialLR(o, gamma=0.5 ** (1 / 6))),
    ("cosine", lambda o: CosineAnnealingLR(o, T_max=20)),
    ("one-cycle", lambda o: OneCycleLR(o, max_lr=1.0, total_steps=21)),
    ("cosine after a warm-up of 3", warmed),
]:
    print(f"{name}: [{rates(make, 20)}]")
