# Source of 03_edge_effects_and_operando.ipynb; after a change: python tutorials/build.py

# %% [markdown]
# # Edge effects and operando series
#
# The face of a section is not its bulk, and an operando series shows what the beam did as well as what the cell did. Four
# questions: **from which scan on is this the bulk? Does the face follow the charge at all? What comes and goes, and what
# stays? Could it be damage?** At the end stands what could go wrong.
#
# How maps are made of a file is told in the first tutorial, how an interphase is measured in the second; this page takes
# about a minute to run.

# %%
import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtr

from ssbmaps import SsbmapsError, figures, interfaces, synthetic

# %% [markdown]
# ## The face of a section
#
# **All data on this page are synthetic**, so that each result can be held against what was planted. The first section stands
# for an in situ cell of LiCoPO₄ in a thiophosphate: particles that emit PO₂⁻ and PO₃⁻ themselves, and an interphase with
# SO₂⁻ and SO₃⁻. (The generator knows NiO₂⁻; here it is called CoO₂⁻.) With data of your own, `counts` is what
# `maps.fragment_maps` returns of a series, with dimensions `(scan, fragment, y, x)`.
#
# Its face is sputtered scan by scan. Some ions start higher or lower than in the bulk and settle with depth, as ions do
# after preparation and transfer:

# %%
nm_per_scan, settling = 2.0, 3.5  # depth of a scan; scans in which the change falls to 1/e
face = {"C2-": 1.5, "S-": -0.25, "SO2-": 0.6, "SO3-": 0.8}  # change in the first scan, share of the level
section = synthetic.cross_section(
    seed=31,
    shape=(112, 128),
    n_scans=30,
    thickness=0.3,
    thickness_SOx=0.2,
    levels={"NMC": {"PO2-": 8.0, "PO3-": 10.0}, "SOx": {"SO2-": 6.0, "SO3-": 6.0}},
    layout=synthetic.Layout(radius=(0.8, 2.0), fibres=0.0),
    instrument=synthetic.Instrument(transient=face, transient_depth=settling, dose=2.0),
)
counts = section.counts.drop_vars("mz")
counts = counts.assign_coords(fragment=[str(f).replace("NiO2-", "CoO2-") for f in counts.fragment.values])
depth = xr.DataArray(nm_per_scan * np.arange(30), dims="scan", attrs={"units": "nm"})
dict(counts.sizes)

# %% [markdown]
# SO₃⁻ in the first scans and in the last ones, as many of each, with one scale. The rings differ a little in brightness; a
# map that sums all scans holds both.

# %%
so3 = counts.sel(fragment="SO3-", drop=True)
ends = [so3.isel(scan=s).sum("scan").astype("int64") for s in (slice(0, 5), slice(-5, None))]
pair = xr.concat(ends, "fragment").assign_coords(fragment=["first scans", "last scans"]).assign_attrs(units="counts")
figures.grid_figure(pair, limits=(0, 8))

# %% [markdown]
# ## From which scan on is this the bulk?
#
# `detect_edge_layer` sums each ion over the map, scan by scan, and asks whether a change over the first scans explains the
# counts better than a level, a linear drift and noise that need not be white. Without a depth it would count in scans.

# %%
found = interfaces.detect_edge_layer(counts, depth=depth)
columns = ["detected", "p_family", "amplitude", "depth_scale", "first_bulk_scan"]
table = found[columns].to_dataframe()[columns]
table["planted change"] = [face.get(f, 0.0) for f in table.index]
table.round(3)

# %% [markdown]
# `p_family` is corrected for all ions that were tested. `first_bulk_scan` is how many scans to leave out until the change is
# below `tolerance` (a share of the level) with 95 % confidence: fewer counts, more scans. The depth scale that was planted,
# and the ions whose interval holds it:

# %%
planted = nm_per_scan * settling
changed = found.isel(fragment=np.flatnonzero(found.detected.values))
holds = (changed.depth_scale_low <= planted) & (planted <= changed.depth_scale_high)
print(f"planted: {planted:g} nm; in the interval of {', '.join(changed.fragment.values[holds.values])}")

# %%
figures.edge_layer_figure(changed)

# %% [markdown]
# **The sentences name no cause.** Implanted atoms, contamination, charging, and a layer that was there before the section
# was made look alike. Nor does grey mean "no layer"; it means that a short change is smaller than the limit in the sentence:

# %%
figures.edge_layer_figure(found, fragments=["PO3-", "CoO2-"])

# %% [markdown]
# ## What the face does to a result
#
# How much SOx lies around the particles? Once with all scans and once without those in which SO₂⁻ or SO₃⁻ still change.
# Excesses are given per scan, since the two have different numbers of scans. (PO₂⁻ and PO₃⁻ could not be used: see below.)


# %%
def sulfoxides(maps):
    result = interfaces.measure_interphase(maps, core="CoO2-", shell={"SOx": ["SO2-", "SO3-"]}, shots=25)
    numbers = result[["excess", "excess_sd", "excess_low", "excess_high"]] / maps.sizes["scan"]
    for variable in numbers.values():
        variable.attrs["units"] = "counts um per scan"
    thickness = result[[f"thickness{end}" for end in ("", "_sd", "_low", "_high")]]
    return numbers.assign(thickness).squeeze("shell", drop=True)


both = interfaces.compare_with_and_without(sulfoxides, counts, scans=found.sel(fragment=["SO2-", "SO3-"]))
figures.comparison_figure(both)

# %% [markdown]
# **Do not compare the bars.** Both results share most of the counts; the difference at the right has an error of its own. What
# was planted, the bulk's level of both ions times the thickness:

# %%
level = section.level.sel(phase="SOx", fragment=["SO2-", "SO3-"]).sum().item() / counts.sizes["scan"]
truth = {"excess": level * section.attrs["thickness_SOx"], "thickness": section.attrs["thickness_SOx"]}
rows = {}
for name, true in truth.items():
    values = both[name].values
    rows[name] = {
        "planted": round(true, 4),
        "with the face": round(values[0], 4),
        "bias, %": round(100 * (values[0] / true - 1), 1),
        "without": round(values[1], 4),
        "bias without, %": round(100 * (values[1] / true - 1), 1),
        "difference in its errors": round((both[f"{name}_difference"] / both[f"{name}_difference_sd"]).item(), 1),
    }
pd.DataFrame(rows).T

# %% [markdown]
# The face makes the excess too large, by many of its errors. The thickness is read from the profile's shape, which the face
# leaves alone as long as all of the shell's signal grows alike.
#
# **And POx?** In a phosphate cathode the core emits PO₂⁻ and PO₃⁻. It is no marker of an interphase there, whatever the maps
# look like. The profile shows why, and `measure_interphase` refuses:

# %%
core = ["PO3-", "SO3-", "CoO2-"]
profile = interfaces.distance_profile(counts.sel(fragment=core).sum("scan").astype("int64"), section.distance)
figures.profile_figure(profile, inside="LiCoPO₄", outside="electrolyte", normalise=True)

# %%
try:
    interfaces.measure_interphase(counts, core="CoO2-", shell={"POx": ["PO2-", "PO3-"]}, shots=25)
except SsbmapsError as letter:
    print(letter)

# %% [markdown]
# ## Does the face follow the charge?
#
# On charging, lithium leaves the cathode. The signal of Li⁺, in counts per scan, through the same section in two states:
# planted is a loss, but only below the depth `layer`. Above it the face stays as it was, without contact or already
# delithiated.

# %%
layer, width, loss = 20.0, 4.0, 0.3  # nm, nm, share
z = xr.DataArray(nm_per_scan * np.arange(30), dims="scan", attrs={"units": "nm"})
signal = xr.concat([xr.ones_like(z), 1 - loss * ndtr((z - layer) / width)], "state")
settles = 1 + 0.4 * np.exp(-z / 7.0)  # the yield settles with depth in both states alike
lithium = 8000 * signal * settles
lithium = lithium.copy(data=np.random.default_rng(2).poisson(lithium)).assign_coords(state=["discharged", "charged"])
inactive = interfaces.detect_inactive_layer(lithium.assign_attrs(units="counts"), depth=z)
print(inactive.statement.item())

# %% [markdown]
# The states are compared scan by scan, so that the yield that settles cancels. Dashed: the change of the face, left free,
# and that of the bulk.

# %%
figures.inactive_layer_figure(inactive)

# %% [markdown]
# **A map of the face says nothing of the bulk.** The first scans alone, as a static measurement has them:

# %%
shallow = lithium.isel(scan=slice(0, 6)).assign_attrs(units="counts")
print(interfaces.detect_inactive_layer(shallow, depth=z[:6]).statement.item())

# %% [markdown]
# ## Operando: what comes and goes, what stays
#
# NCA in a thiophosphate, mapped again and again over cycles of charge and discharge. Planted: SO₃⁻ follows the voltage with
# a delay, and part of it stays; PO₂⁻ and PO₃⁻ accumulate; NiO₂⁻ does not change. Ions are never pooled: a sum of POx and SOx
# would show neither.

# %%
cell = synthetic.operando_series(seed=7, n_cycles=6)
current = cell[["primary_current", "primary_current_sd"]]
series = interfaces.time_series(cell.counts, cell.labels, normalise=current)
rim = series.sel(region=["interphase"])
figures.time_series_figure(rim, fragments=["SO3-", "PO3-", "NiO2-"], voltage="voltage")

# %% [markdown]
# `reversibility` takes the discharged and the charged ends: the share of the change that returns, and what accumulates at
# the discharged ends.

# %%
shares = interfaces.reversibility(series, state="state").sel(region="interphase")
for ion in ["SO3-", "PO3-", "NiO2-"]:
    print(f"{ion}: {shares.statement.sel(fragment=ion).item()}\n")
so3, po3 = shares.sel(fragment="SO3-"), shares.sel(fragment="PO3-", law="sqrt")
gain = po3.accumulation / po3.initial
pd.DataFrame(
    {
        "SO3-, share that returns": [cell.reversibility, so3.reversibility.item()],
        "PO3-, gain over the first level": [cell.accumulation, gain.item()],
    },
    index=["planted", "found"],
).round(2)

# %% [markdown]
# `lag` shifts the record of the voltage until it fits the signal, with drift free and noise that may be correlated:

# %%
delay = interfaces.lag(rim, cell.record_voltage)
for ion in ["SO3-", "NiO2-"]:
    print(f"{ion}: {delay.statement.sel(fragment=ion).item(0)}\n")
print(f"planted for SO3-: {cell.lag} h")

# %% [markdown]
# Shapes side by side, with the sentences below. NiO₂⁻ says "undetermined", not "irreversible":

# %%
figures.time_series_figure(rim, fragments=["SO3-", "NiO2-"], relative=True, findings=shares.expand_dims("region"))

# %% [markdown]
# ## Could it be damage?
#
# Beams make what they measure: fluorinated salts become LiF, and carbonates Li₂O. `damage_suspicion` asks whether a product
# rises with the dose **while what it is made of falls**; a current that drifts moves both in one direction.

# %%
step = np.arange(20)
made = np.stack([2000 * (1 - 0.5 * np.exp(-step / 8)), 1500 * np.exp(-step / 12)], axis=1)
place = {"scan": step, "fragment": ["LiF-", "SO2F-"]}
salt = xr.DataArray(np.random.default_rng(0).poisson(made), place, ("scan", "fragment"), attrs={"units": "counts"})
suspicion = interfaces.damage_suspicion(salt, sputter_beam="Cs+")
figures.damage_figure(suspicion)

# %% [markdown]
# "Compatible with damage" is all that can be said: a section with LiF under the salt looks the same. What can be checked is
# the fluence of repeated analyses, where it is known; it is never assumed.

# %%
dose = interfaces.check_fluence(series, primary_ion_fluence=1e10)
print(dose.statement.item())

# %% [markdown]
# ## What the numbers do not say
#
# * **No cause.** Neither for a change over the first scans, nor for a face that stays behind, nor for what accumulates.
# * **No concentration.** Counts change with the matrix, too; a signal that has settled shows steady sputtering.
# * **No mechanism.** √t is compatible with diffusion, and with other things.
#
# ## What could go wrong
#
# **A drift taken for a layer.** A primary current that falls a little over the series, and nothing else. Allowed for, it is
# a drift; without, it is a transient:

# %%
wane = 1 + 0.01 * np.linspace(0.5, -0.5, 30)
steady = xr.DataArray(np.random.default_rng(4).poisson(1e6 * wane), dims="scan", attrs={"units": "counts"})
for allowed in (True, False):
    print(f"drift={allowed}: {interfaces.detect_edge_layer(steady, drift=allowed).statement.item()}\n")

# %% [markdown]
# **A change that is not over when the series ends.** It is found because it bends, as a drift does not. But no scan shows the
# bulk, and the level that the dashed line claims for it was never measured:

# %%
slow = 50_000 * (1 + 0.8 * np.exp(-np.arange(30) / 15))
slow = xr.DataArray(np.random.default_rng(5).poisson(slow), dims="scan", attrs={"units": "counts"})
figures.edge_layer_figure(interfaces.detect_edge_layer(slow))

# %% [markdown]
# **Too few scans** are no negative result:

# %%
print(interfaces.detect_edge_layer(counts.isel(scan=slice(0, 4)).sel(fragment="SO3-")).statement.item())

# %% [markdown]
# **A depth without a unit.** Sputter time is no depth, and nm of silica are no nm of sulfide:

# %%
try:
    interfaces.detect_edge_layer(counts, depth=xr.DataArray(np.arange(30), dims="scan"))
except SsbmapsError as letter:
    print(letter)
