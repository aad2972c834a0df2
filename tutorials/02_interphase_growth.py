# Source of 02_interphase_growth.ipynb; after a change: python tutorials/build.py

# %% [markdown]
# # From maps to the growth of an interphase
#
# Cathodes of NMC622 and a thiophosphate electrolyte, pristine and cycled, with and without carbon fibres: how thick is the
# layer that grows on the NMC, how sure is that, and how fast does it grow? **Look, measure, doubt, compare, grow.** At the
# end stands what the numbers do not say, and what could go wrong.
#
# How maps are made of a file is told in the first tutorial; the page takes about two minutes to run.

# %%
import numpy as np
import pandas as pd
import xarray as xr

from ssbmaps import SsbmapsError, figures, interfaces, synthetic

# %% [markdown]
# ## Four samples
#
# **All sections on this page are synthetic**, so that each result can be held against what was planted. With data of
# your own, `counts` is what `maps.fragment_maps` returns, best with its scans: dimensions `(scan, fragment, y, x)`.
#
# Ion-beam milling mixes a few nanometres of oxide and sulfide, cycled or not: a layer of 5 nm is planted in all four.
# Cycling adds a shell of 0.15 µm around the particles, and twice as much where carbon fibres carry electrons into the
# electrolyte. Shells differ by a fifth from particle to particle.

# %%
shell = {"POx": ["PO2-", "PO3-"]}
made = {
    "pristine": (0.0, 0.0),
    "pristine, fibres": (0.0, 0.05),
    "cycled": (0.15, 0.0),
    "cycled, fibres": (0.30, 0.05),
}
sections = {}
for number, (name, (thickness, fibres)) in enumerate(made.items()):
    sections[name] = synthetic.cross_section(
        seed=20 + number,
        shape=(160, 200),
        n_scans=8,
        thickness=thickness,
        layout=synthetic.Layout(fibres=fibres),
        departures=synthetic.Departures(mixing_layer=0.005, thickness_spread=0.2 if thickness else 0.0),
    )
samples = {name: section["counts"] for name, section in sections.items()}
dict(samples["cycled"].sizes)

# %% [markdown]
# ## Look
#
# PO₃⁻ of the four samples with one scale. Counts, not concentrations; and at this scale anyone sees a layer in the two
# lower maps. What nobody sees is how thick it is: the beam is 0.2 µm wide.

# %%
total = [counts.sel(fragment="PO3-", drop=True).sum("scan").astype("int64") for counts in samples.values()]
four = xr.concat(total, "fragment").assign_coords(fragment=list(samples)).assign_attrs(units="counts")
figures.grid_figure(four, limits=(0, 8))

# %% [markdown]
# Core, electrolyte, carbon and interphase in one picture; each ion has a brightness of its own.

# %%
summed = samples["cycled, fibres"].sum("scan").astype("int64").assign_attrs(units="counts")
figures.composite_figure(summed, fragments=["NiO2-", "S-", "C2-", "PO3-"])

# %% [markdown]
# ## Measure
#
# `measure_interphase` needs the maps, what the core emits, what the shell emits, and the number of shots per pixel and
# scan. It finds the outline of the particles from NiO₂⁻, on other scans than those it then measures against it,
# follows the drift, leaves out what lies near carbon, voids and cracks, and fits core and shell together through the
# beam. The pristine section comes first, as the reference of the others.

# %%
options = {"core": "NiO2-", "shell": shell, "shots": 25, "reference_level": 9.0}
pristine = interfaces.measure_interphase(samples["pristine"], **options)
results = {"pristine": pristine}
for name in ["pristine, fibres", "cycled", "cycled, fibres"]:
    results[name] = interfaces.measure_interphase(samples[name], reference=pristine, **options)
for name, found in results.items():
    print(f"{name}: {found.statement.item()}\n")

# %% [markdown]
# Three kinds of sentences, and each claims as much as the counts carry. The cycled samples have a thickness with an
# interval. The pristine ones have a signal above noise, since 5 nm of mixed material are plain on so much interface;
# no thickness can be told from it, and the second one is **not above the reference**: without the comparison the
# mixing layer would have been an interphase.
#
# What each claim rests on:

# %%
table = {
    name: {
        "above noise": bool(found.above_noise.item()),
        "above reference": bool(found.above_reference.item()) if "above_reference" in found else "-",
        "contact": round(found.contact.item(), 2),
        "interface, um": round(found.interface_length.item()),
        "sigma, um": round(found.sigma.item(), 3),
        "model": found.model.item(),
    }
    for name, found in results.items()
}
pd.DataFrame(table).T

# %% [markdown]
# `contact` is the share of the particles' outlines that lies against electrolyte and was used. `sigma` is the width of
# beam, pixel and intermixing together, found on the same pixels: 0.09 µm. **The profiles** behind the numbers:
# counts against the distance to the particles' edge, and the model.

# %%
figures.interphase_figure(results["cycled"])

# %%
figures.interphase_figure(results["cycled, fibres"])

# %% [markdown]
# The same for the pristine sample: the layer shows as a bump of a tenth of a count where nothing but a step should be. Its
# height times width is known; neither is known by itself.

# %%
figures.interphase_figure(results["pristine"])

# %% [markdown]
# ## Doubt
#
# One number for a whole section is a mean. **Where** is the layer thick? Every 1.5 µm of outline has a thickness of its
# own; grey stretches are out of contact or could not be measured.

# %%
figures.thickness_map_figure(samples["cycled, fibres"], results["cycled, fibres"])

# %% [markdown]
# **Which particles?** Their thicknesses differ by more than their errors. The pooled thickness (band) is the mean over
# their edges, not over particles: a small particle has little interface.

# %%
cycled = {name: results[name] for name in ["cycled", "cycled, fibres"]}
figures.particle_thickness_figure(cycled)

# %% [markdown]
# **Which way do the edges face?** A section seen at an angle and not corrected looks thicker in one direction, and so does
# one from an astigmatic beam. The probabilities that chance alone makes the thickness vary that much with the
# direction:

# %%
modulation = {name: found["thickness_modulation_p"].isel(shell=0).to_series() for name, found in cycled.items()}
pd.DataFrame(modulation).round(2)

# %% [markdown]
# **What if the model is wrong?** Each thickness states how far it would move: if the shell began 10 nm away from the
# core's edge; if the core yielded a tenth more in its outer 50 nm; if the yield fell by a tenth across the shell; if a
# hundredth of the beam lay in a wide halo.

# %%
steps = {"offset": 0.01, "core yield": 0.1, "fall": 0.1, "halo": 0.01}
moves = {
    name: {d: round(1e3 * s * float(found["d_sensitivity"].sel(departure=d).item())) for d, s in steps.items()}
    for name, found in cycled.items()
}
pd.DataFrame(moves)  # nm

# %% [markdown]
# All of it on one sheet, for the notebook of the laboratory or the supplement of the paper:

# %%
figures.interphase_summary_figure(samples["cycled"], results["cycled"])

# %% [markdown]
# ## Compare
#
# Raw excesses, counts times µm, depend on dose and yield. Over the counts of a pixel full of the shell's material (here 9,
# planted; in practice a thick layer or a standard) they become an **equivalent thickness**, which exists for
# unresolved layers, too. The last column is what was planted: the mean over the edges, and 5 nm of mixed material on top.

# %%
rows = {}
for name, found in results.items():
    low, high = (1e3 * found[f"equivalent_thickness_{end}"].item() for end in ("low", "high"))
    rows[name] = {
        "excess, counts nm": round(1e3 * found.excess.item()),
        "equivalent, nm": f"{1e3 * found.equivalent_thickness.item():.0f} [{low:.0f}, {high:.0f}]",
        "thickness, nm": "-" if not found.resolved.item() else f"{1e3 * found.thickness.item():.0f}",
        "planted, nm": round(1e3 * sections[name].attrs["thickness_POx"]) + 5,
    }
pd.DataFrame(rows).T

# %% [markdown]
# ## Grow
#
# Now with and without fibres after 20, 80 and 320 cycles, two cells each. Planted is d² = (30 nm)² + k t, with k twice as
# large with fibres; cells differ by a tenth. Each section is measured on its own and gathered into one table: an entry
# per particle, or one upper limit where a section is not resolved.

# %%
rate = {"without": 2.5e-4, "with": 5e-4}  # um² per cycle
chance = np.random.default_rng(7)
measured, cycles, cells, condition = {}, {}, {}, {}
for kind, k in rate.items():
    for t in [20, 80, 320]:
        for cell in "ab":
            name = f"{kind} {t} {cell}"
            section = synthetic.cross_section(
                seed=100 + len(measured),
                shape=(96, 108),
                n_scans=4,
                thickness=float(np.sqrt(0.03**2 + k * t) * (1 + 0.1 * chance.standard_normal())),
                thickness_SOx=0.0,
                layout=synthetic.Layout(fibres=0.05 if kind == "with" else 0.0, radius=(0.8, 2.0)),
                departures=synthetic.Departures(thickness_spread=0.2),
            )
            measured[name] = interfaces.measure_interphase(section["counts"], core="NiO2-", shell=shell, shots=25)
            cycles[name], cells[name], condition[name] = t, name, kind
gathered = interfaces.gather_thickness(measured, time=cycles, cell=cells, condition=condition, time_units="cycles")
print(
    f"{gathered.sizes['particle']} entries of {len(measured)} sections, {int(gathered.upper_limit.notnull().sum())} upper limits"
)

# %% [markdown]
# `fit_growth` compares four laws. Cells are the independent units, not particles, and still less pixels: six cells
# carry the interval.

# %%
grown = {}
for kind in rate:
    grown[kind] = interfaces.fit_growth(gathered.where(gathered.condition == kind, drop=True), time="time")
    print(f"fibres: {kind}. {grown[kind].statement.item()}\n")

# %% [markdown]
# Three times are too few to tell a square root from a straight line, and the statement says so: √t was planted in both.
# The figure shows each with its band.

# %%
figures.growth_figure(gathered, grown, time="time", condition="condition")

# %% [markdown]
# Do fibres make a difference? Not whether two intervals overlap tells this, but the interval of the difference, under one
# law for both (planted: 2.5 × 10⁻⁴ µm² per cycle more with fibres):

# %%
difference = interfaces.compare_growth(gathered, time="time", condition="condition", law="sqrt")
for text in np.atleast_1d(difference.statement.values):
    print(text)

# %% [markdown]
# ## What the numbers do not say
#
# * **Not what the layer is made of.** It is the region that emits PO₂⁻ and PO₃⁻. An ion's yield may differ between layers
#   (matrix effects); no interval holds that.
# * **Not how it is elsewhere.** One section is one plane through one cell. The "isotropic-section estimate" corrects for
#   planes that cut shells at random angles; a section chosen for its looks is not random.
# * **Not a mechanism.** √t fits diffusion through a growing layer, and other things.
# * **Not zero.** "Not distinguishable from the reference contact" has an upper limit beside it.
#
# ## What could go wrong
#
# **Excesses of different dose.** A growth law of raw excesses would compare doses; it is refused:

# %%
excess = xr.DataArray([120.0, 260.0, 540.0], dims="section", attrs={"units": "counts um"})
try:
    interfaces.fit_growth(excess, time=[20.0, 80.0, 320.0])
except SsbmapsError as letter:
    print(letter)

# %% [markdown]
# **A tilted face that was not corrected.** The same section with y squeezed by 1.27, as a face milled at 52° shows it:

# %%
narrow = samples["cycled, fibres"]
narrow = narrow.assign_coords(y=("y", narrow.y.values / 1.27, narrow.y.attrs))
tilted = interfaces.measure_interphase(narrow, core="NiO2-", shell=shell, shots=25)
print(tilted.statement.item())

# %% [markdown]
# **A core that is none.** Carbon fibres are thinner than the blur of both their edges:

# %%
try:
    interfaces.measure_interphase(samples["pristine, fibres"], core="C2-", shell=shell, others=[])
except SsbmapsError as letter:
    print(letter)
