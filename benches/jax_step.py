"""The same training steps in JAX, one core: what pg-host's `bench` is compared with.

    pip install jax
    taskset -c 0 python3 benches/jax_step.py                # prints the table
    taskset -c 0 python3 benches/jax_step.py target/release/pg-host   # runs pg-host's bench in turn with it, same core

Softmax cross-entropy, SGD with momentum 0.9 and weight decay 1e-5, float32, jitted, buffers donated. With members: antithetic pairs of
Gaussian noise, filter scale, vmapped over the members, noise made in the step with JAX's default generator (threefry) and, as
the faster choice, with `rbg`. Medians over rounds.
"""
import os

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
import json
import statistics
import subprocess
import sys
import time

import jax
import jax.numpy as jnp

RHO, RATE, MOMENTUM, DECAY = 0.3, 1e-8, 0.9, 1e-5


def forward(params, x):
    for weights, bias in params[:-1]:
        x = jax.nn.relu(x @ weights.T + bias)
    weights, bias = params[-1]
    return x @ weights.T + bias


def loss(params, x, labels):
    logits = forward(params, x)
    return jnp.mean(jax.nn.logsumexp(logits, axis=1) - jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0])


def gradient(params, x, labels, key, members):
    if members == 0:
        return jax.grad(loss)(params, x, labels)
    keys = jax.random.split(key, len(params))
    weights, axes = [], []
    for (w, b), k in zip(params, keys):
        scale = RHO * jnp.linalg.norm(w, axis=1, keepdims=True) / jnp.sqrt(w.shape[1])
        noise = scale * jax.random.normal(k, (members // 2, *w.shape))
        weights.append((jnp.concatenate([w + noise, w - noise]), b))
        axes.append((0, None))
    gradients = jax.vmap(jax.grad(loss), in_axes=(axes, None, None))(weights, x, labels)
    return jax.tree.map(lambda g: jnp.mean(g, axis=0), gradients)


def make_step(members):
    def step(params, velocity, x, labels, key):
        g = gradient(params, x, labels, key, members)
        velocity = jax.tree.map(lambda v, g, p: MOMENTUM * v + g + DECAY * p, velocity, g, params)
        params = jax.tree.map(lambda p, v: p - RATE * v, params, velocity)
        return params, velocity

    return jax.jit(step, donate_argnums=(0, 1))


def measure(sizes, batch, members, generator, rounds=9, seconds=0.2):
    key = jax.random.key(0, impl=generator)
    params = [(jax.random.normal(jax.random.key(i), (o, n)) * (2 / n) ** 0.5, jnp.zeros(o)) for i, (n, o) in enumerate(zip(sizes, sizes[1:]))]
    velocity = jax.tree.map(jnp.zeros_like, params)
    x = jax.random.normal(jax.random.key(9), (batch, sizes[0]))
    labels = jnp.arange(batch) % sizes[-1]
    step = make_step(members)
    params, velocity = step(params, velocity, x, labels, key)
    jax.block_until_ready(params)
    times = []
    for _ in range(rounds):
        start, steps = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            for _ in range(4):
                params, velocity = step(params, velocity, x, labels, key)
            jax.block_until_ready(params)
            steps += 4
        times.append((time.perf_counter() - start) / steps * 1e6)
    return statistics.median(times)


def main():
    ours = {}
    if len(sys.argv) > 1:
        report = json.loads(subprocess.run([sys.argv[1], "bench", "--json"], check=True, capture_output=True, text=True).stdout)
        ours = {(s["net"], s["batch"], s["population"]): s["us_per_step"] for s in report["steps"]}
    print(f"{'net':<16} {'batch':>5} {'K':>2} {'generator':<12} {'JAX us':>10} {'pg us':>9} {'ratio':>6}")
    for net, sizes, batch in [("mlp-784-128-10", [784, 128, 10], 64), ("mlp-64-32-10", [64, 32, 10], 32)]:
        for members in (0, 8):
            for generator in ("threefry2x32",) if members == 0 else ("threefry2x32", "rbg"):
                jax_us = measure(sizes, batch, members, generator)
                pg_us = ours.get((net, batch, members))
                tail = f"{pg_us:9.2f} {jax_us / pg_us:6.2f}" if pg_us else ""
                print(f"{net:<16} {batch:>5} {members:>2} {generator if members else '':<12} {jax_us:10.2f} {tail}", flush=True)


if __name__ == "__main__":
    main()
