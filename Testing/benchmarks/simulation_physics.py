"""Is the simulated scanner physics? HU of known materials, noise, sharpness, slice profile and body size against theory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from documents import parser, publish
from scipy.interpolate import CubicSpline

from VertebralBMDLib.simulation.beam import effective_kev, reference_beam
from VertebralBMDLib.simulation.kernels import KERNELS, Kernel
from VertebralBMDLib.simulation.materials import MINERALS, WATER, Composition, in_water
from VertebralBMDLib.simulation.scanner import Scanner
from VertebralBMDLib.simulation.shapes import Canvas, Grid, Tube, paint

KVPS = (80, 100, 120, 140)
# (mu/rho) in cm2/g at these energies, NIST; written here so that the simulation's own tables are tested too.
NIST_KEV = (40.0, 50.0, 60.0, 80.0, 100.0)
NIST = {
    "water": (0.2683, 0.2269, 0.2059, 0.1837, 0.1707),
    "triglyceride": (0.2293, 0.2072, 0.1945, 0.1789, 0.1683),
    "adipose": (0.2396, 0.2123, 0.1974, 0.1800, 0.1688),
    "muscle": (0.2685, 0.2262, 0.2048, 0.1823, 0.1693),
    "blood": (0.2715, 0.2278, 0.2057, 0.1827, 0.1695),
    "K2HPO4": (0.9327, 0.5573, 0.3890, 0.2508, 0.1972),
    "CaHA": (0.9877, 0.5867, 0.4067, 0.2589, 0.2019),
}
MATERIALS: dict[str, Composition] = {
    "water": WATER,
    "triglyceride": {"triglyceride": 0.92},
    "adipose (ICRU-44)": {"adipose": 0.95},
    "muscle": {"muscle": 1.05},
    "blood": {"blood": 1.06},
    "K2HPO4 100 mg/cm³": in_water("K2HPO4", 100.0),
    "K2HPO4 200 mg/cm³": in_water("K2HPO4", 200.0),
    "CaHA 100 mg/cm³": in_water("CaHA", 100.0),
    "CaHA 200 mg/cm³": in_water("CaHA", 200.0),
}
# mg/cm3 per HU expected at each voltage (low confidence: the effective energies in a body).
BANDS = {80: (0.42, 0.55), 100: (0.53, 0.67), 120: (0.62, 0.82), 140: (0.70, 0.90)}
SHARP: dict[str, Kernel] = {name: kernel for name, kernel in KERNELS.items() if kernel is not None}
THICKNESS_MM = (0.6, 1.25, 2.5, 5.0)
DIAMETERS_MM = (200.0, 250.0, 300.0, 350.0, 400.0)
ROD_MG_CM3 = 200.0


def tube(diameter: float, x: float = 0.0, y: float = 0.0, z: tuple[float, float] = (-100.0, 100.0)) -> Tube:
    ends = np.ones(2)
    return Tube(np.array(z), x * ends, y * ends, 0.5 * diameter * ends, 0.5 * diameter * ends)


def scan(scanner: Scanner, grid: Grid, *solids: tuple[Tube, Composition], seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(HU drawn, HU scanned) of homogeneous solids in air, later ones over earlier ones."""

    def draw(canvas: Canvas) -> None:
        for solid, material in solids:
            paint(canvas, solid, material)

    canvas = Canvas(grid, scanner.beam)
    draw(canvas)
    return canvas.hu, scanner.acquire(canvas.hu, grid, np.random.default_rng(seed), draw)


def nist_hu(material: Composition, kev: float) -> float:
    """HU at one energy from the values above, a cubic spline of the logarithms between them."""
    mu = {name: np.exp(CubicSpline(np.log(NIST_KEV), np.log(values))(np.log(kev))) for name, values in NIST.items()}
    return float(1000.0 * (sum(rho * mu[name] for name, rho in material.items()) / mu["water"] - 1.0))


def rods() -> dict[tuple[str, int], tuple[float, float, float]]:
    """(simulated mean HU in a rod of 20 mm, theory of the beam, NIST at the effective energy), all effects off."""
    found = {}
    for kvp in KVPS:
        scanner = Scanner(kvp, thickness_mm=None)
        grid = scanner.grid((-20.0, -20.0, -5.0), (0.8, 0.8, 2.5), (51, 51, 5))
        inside = np.hypot(grid.axis(0)[None, :], grid.axis(1)[:, None]) < 7.5
        kev = effective_kev(scanner.beam)
        for name, material in MATERIALS.items():
            hu = scan(scanner, grid, (tube(300.0), WATER), (tube(20.0), material))[1]
            found[name, kvp] = float(hu[:, inside].mean(dtype=float)), scanner.beam.hu(material), nist_hu(material, kev)
    return found


def noise_spectrum(kernel: str) -> tuple[np.ndarray, np.ndarray, float]:
    """(frequency, radial NPS, SD) measured in the middle of a cylinder of 32 cm, 15 HU asked."""
    scanner = Scanner(kernel=kernel, thickness_mm=None, noise_hu=15.0)
    grid = scanner.grid((-30.0, -30.0, -60.0), (0.3, 0.3, 3.0), (201, 201, 31))
    before, after = scan(scanner, grid, (tube(320.0), WATER))
    noise = after - before
    power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0) * 0.3**2 / 201**2
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(201, 0.3), np.fft.fftfreq(201, 0.3)))
    edges = np.arange(0.0, 1.6, 0.03)
    bins = np.digitize(f, edges)
    radial = np.array([power[bins == i].mean() for i in range(1, len(edges))])
    return 0.5 * (edges[1:] + edges[:-1]), radial, float(noise.std())


def edge_mtf(kernel: str) -> tuple[np.ndarray, np.ndarray]:
    """(frequency, MTF) from the edge of a cylinder, every pixel placed by its distance from the axis."""
    grid = Grid((-30.0, -30.0, 0.0), (0.25, 0.25, 0.25), (241, 241, 1))
    _, hu = scan(Scanner(kernel=kernel), grid, (tube(500.0), WATER), (tube(40.0), {"water": 1.1}))
    radius = np.hypot(grid.axis(0)[None, :], grid.axis(1)[:, None]).ravel()
    edges = np.arange(10.0, 30.0, 0.1)
    count, total = (np.histogram(radius, edges, weights=w)[0] for w in (None, hu.ravel()))
    spread = -np.diff(total / count)
    f = np.fft.rfftfreq(len(spread), 0.1)
    transfer = np.abs(np.fft.rfft(spread))
    # the drawing's own edge, as wide as a pixel, is divided out
    return f, transfer / transfer[0] / np.sinc(f * 0.25) / np.sinc(f * 0.1)


def slice_profile(thickness: float) -> tuple[np.ndarray, np.ndarray, float]:
    """(z, edge of a half space, width in mm of the rectangle that has the variance of its derivative)."""
    scanner = Scanner(thickness_mm=thickness)
    grid = scanner.grid((0.0, 0.0, -6.0), (0.8, 0.8, 0.1), (3, 3, 121))
    hu, _ = scan(scanner, grid, (tube(50.0, z=(0.0, 50.0)), WATER))
    edge = hu[:, 1, 1] / 1000.0 + 1.0
    profile, z = np.diff(edge), grid.axis(2)[1:] - 0.05
    variance = (profile * z**2).sum() - (profile * z).sum() ** 2
    return grid.axis(2), edge, float(np.sqrt(12.0 * variance))


def cylinder(diameter: float, scanner: Scanner, rod: bool) -> np.ndarray:
    """HU from the axis outwards every 2 mm, in a water cylinder with or without a CaHA rod of 20 mm on the axis."""
    grid = scanner.grid((-6.0, -6.0, -5.0), (2.0, 2.0, 5.0), (111, 7, 3))
    solids = [(tube(diameter), WATER)] + ([(tube(20.0), in_water("CaHA", ROD_MG_CM3))] if rod else [])
    return scan(scanner, grid, *solids)[1][1, 3, 3:]


def body_size(scanner: Scanner) -> dict[float, tuple[float, float, float]]:
    """(HU in the middle of water, HU 20 mm below its surface, reading of the rod in mg/cm3) by diameter."""
    sizes = {}
    for diameter in DIAMETERS_MM:
        water, bone = (cylinder(diameter, scanner, rod) for rod in (False, True))
        rod = bone[0] / scanner.beam.hu_per_mg_cm3("CaHA")
        sizes[diameter] = float(water[0]), float(water[int((0.5 * diameter - 20.0) / 2.0)]), float(rod)
    return sizes


SIZE_SCANNERS = {
    "water correction only": Scanner(beam_hardening=1.0),
    "30 % left": Scanner(beam_hardening=0.3),
    "30 % left, 2 % scatter": Scanner(beam_hardening=0.3, scatter=0.02),
}


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--figure", type=Path, metavar="FILE.png", help="also draw the comparison")
    options = arguments.parse_args()
    measured = {
        "rods": rods(),
        "noise": {name: noise_spectrum(name) for name in SHARP},
        "mtf": {name: edge_mtf(name) for name in SHARP},
        "profiles": {t: slice_profile(t) for t in THICKNESS_MM},
        "sizes": {name: body_size(scanner) for name, scanner in SIZE_SCANNERS.items()},
    }
    if options.figure:
        draw_figure(measured, options.figure)
    publish("simulation_physics", "\n\n".join((hu_table(measured), image_table(measured), size_table(measured))), options.write)


def hu_table(measured: dict) -> str:
    lines = [
        "HU of a rod in 30 cm of water, all effects off: simulated (less theory of the beam; less NIST at the effective energy)",
        f"{'':20}" + "".join(f"{f'{kvp} kV, {effective_kev(reference_beam(kvp)):.1f} keV':>26}" for kvp in KVPS),
    ]
    for name in MATERIALS:
        cells = [measured["rods"][name, kvp] for kvp in KVPS]
        lines.append(f"{name:20}" + "".join(f"{f'{hu:.2f} ({hu - beam:+.2f}; {hu - nist:+.1f})':>26}" for hu, beam, nist in cells))
    for mineral in MINERALS:
        slopes = [ROD_MG_CM3 / measured["rods"][f"{mineral} {ROD_MG_CM3:.0f} mg/cm³", kvp][0] for kvp in KVPS]
        lines.append(
            f"{'mg/cm³ per HU ' + mineral:20}"
            + "".join(f"{f'{s:.3f} ({BANDS[k][0]:.2f}-{BANDS[k][1]:.2f})':>26}" for s, k in zip(slopes, KVPS))
        )
    return "\n".join(lines)


def image_table(measured: dict) -> str:
    lines = [
        "kernels: noise in 32 cm of water (15 HU asked), peak of its spectrum and MTF, measured (as defined); lp/mm",
        f"{'':10}{'SD HU':>8}{'NPS peak':>16}{'MTF 50 %':>16}{'MTF 10 %':>16}{'noise at equal dose':>22}",
    ]
    f = np.linspace(0.0, 2.0, 4001)
    for name, kernel in SHARP.items():
        at, power, sd = measured["noise"][name]
        axis, transfer = measured["mtf"][name]
        cells = [(peak(at, power), peak(f, kernel.nps(f)))] + [
            (crossing(axis, transfer, level), crossing(f, kernel.mtf(f), level)) for level in (0.5, 0.1)
        ]
        relative = kernel.relative_noise / SHARP["STANDARD"].relative_noise
        lines.append(f"{name:10}{sd:8.2f}" + "".join(f"{f'{got:.2f} ({asked:.2f})':>16}" for got, asked in cells) + f"{relative:>20.2f} x")
    widths = ", ".join(f"{measured['profiles'][t][2]:.2f} ({t:g})" for t in THICKNESS_MM)
    return "\n".join([*lines, f"slice profile, width in mm measured (asked): {widths}"])


def size_table(measured: dict) -> str:
    lines = [
        f"water cylinders at 120 kV: HU in the middle / 20 mm below the surface / reading of {ROD_MG_CM3:.0f} mg/cm³ CaHA in the middle",
        f"{'':26}" + "".join(f"{f'{d / 10:.0f} cm':>22}" for d in DIAMETERS_MM),
    ]
    for name, sizes in measured["sizes"].items():
        lines.append(f"{name:26}" + "".join(f"{f'{middle:.1f} / {edge:.1f} / {rod:.1f}':>22}" for middle, edge, rod in sizes.values()))
    return "\n".join(lines)


def peak(f: np.ndarray, power: np.ndarray) -> float:
    """Frequency of the maximum, by a parabola through all that is above 85 % of it."""
    top = power > 0.85 * power.max()
    curve = np.polyfit(f[top], power[top], 2)
    return float(-0.5 * curve[1] / curve[0])


def crossing(f: np.ndarray, transfer: np.ndarray, level: float) -> float:
    """Frequency at which a transfer function first falls through a level."""
    k = int(np.nonzero(transfer < level)[0][0])
    return float(f[k - 1] + (f[k] - f[k - 1]) * (transfer[k - 1] - level) / (transfer[k - 1] - transfer[k]))


def draw_figure(measured: dict, path: Path) -> None:
    """Six panels: simulated as marks, expected as lines."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15.0, 8.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3)
    _draw_hu(axes[0, 0], measured["rods"])
    _draw_slopes(axes[0, 1], measured["rods"])
    _draw_kernels(axes[0, 2], axes[1, 0], measured)
    for i, (thickness, (z, edge, _)) in enumerate(measured["profiles"].items()):
        axes[1, 1].plot(z, np.clip(0.5 + z / thickness, 0.0, 1.0), "-", color=f"C{i}", lw=1)
        axes[1, 1].plot(z[::2], edge[::2], "o", color=f"C{i}", ms=3, label=f"{thickness:g} mm")
    axes[1, 1].set(title="Level edge across slices: drawn (marks), rectangular profile (lines)", xlabel="z (mm)", xlim=(-4, 4))
    axes[1, 1].title.set_fontsize(10)
    axes[1, 1].legend(frameon=False)
    for name, sizes in measured["sizes"].items():
        axes[1, 2].plot([d / 10 for d in sizes], [rod for _, _, rod in sizes.values()], "o-", label=name)
    axes[1, 2].axhline(ROD_MG_CM3, color="0.6", lw=1, ls="--")
    axes[1, 2].set(title=f"{ROD_MG_CM3:.0f} mg/cm³ CaHA in a water cylinder, 120 kV", xlabel="diameter (cm)", ylabel="reading (mg/cm³)")
    axes[1, 2].legend(frameon=False)
    for axis in axes.ravel():
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def _draw_hu(axis, found: dict) -> None:
    for i, name in enumerate(MATERIALS):
        values = np.array([found[name, kvp] for kvp in KVPS])
        axis.plot(KVPS, values[:, 2], "-", color=f"C{i}", lw=1)
        axis.plot(KVPS, values[:, 0], "o", color=f"C{i}", ms=5, label=name)
    axis.set(
        title="HU of rods: simulated (marks), NIST at effective energy (lines)", xlabel="kV", ylabel="HU", xticks=KVPS, ylim=(-180, 580)
    )
    axis.title.set_fontsize(10)
    axis.legend(frameon=False, fontsize=7.5, ncol=2)


def _draw_slopes(axis, found: dict) -> None:
    for kvp, (low, high) in BANDS.items():
        axis.fill_between([kvp - 6, kvp + 6], low, high, color="0.85", label="expected" if kvp == KVPS[0] else None)
    for mineral, mark in zip(MINERALS, "os"):
        axis.plot(KVPS, [ROD_MG_CM3 / found[f"{mineral} {ROD_MG_CM3:.0f} mg/cm³", kvp][0] for kvp in KVPS], mark + "-", label=mineral)
    axis.set(title="Calibration slope", xlabel="kV", ylabel="mg/cm³ per HU", xticks=KVPS)
    axis.legend(frameon=False)


def _draw_kernels(sharpness, noise, measured: dict) -> None:
    f = np.linspace(0.0, 1.6, 800)
    for i, (name, kernel) in enumerate(SHARP.items()):
        at, transfer = measured["mtf"][name]
        sharpness.plot(f, kernel.mtf(f), "-", color=f"C{i}", lw=1)
        sharpness.plot(at[at < 1.6], transfer[at < 1.6], "o", color=f"C{i}", ms=3, label=name)
        at, power, _ = measured["noise"][name]
        defined = kernel.nps(at) / kernel.relative_noise**2 / (2 * np.pi) * 15.0**2
        noise.plot(at, defined, "-", color=f"C{i}", lw=1)
        noise.plot(at, power, "o", color=f"C{i}", ms=3, label=name)
    sharpness.set(title="MTF: measured at an edge (marks), defined (lines)", xlabel="lp/mm", xlim=(0, 1.4), ylim=(0, None))
    noise.set(title="NPS: measured (marks), defined (lines); 15 HU", xlabel="lp/mm", ylabel="HU² mm²", xlim=(0, 1.4), ylim=(0, None))
    for axis in (sharpness, noise):
        axis.title.set_fontsize(10)
        axis.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    main()
