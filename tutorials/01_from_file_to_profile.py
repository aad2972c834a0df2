# Source of 01_from_file_to_profile.ipynb; after a change: python tutorials/build.py

# %% [markdown]
# # From a file to a profile
#
# A cross-section of a composite cathode, measured by ToF-SIMS in negative polarity, goes from the file to a figure
# for print: **read, look, assign, correct, label, profile, print**. At the end stands what could go wrong on the way.
#
# You need no more Python than this: a line `name = function(…)` keeps a result under a name, the last line of a cell
# is shown below it, and `# text` is a remark. Run the cells from top to bottom (Shift+Enter); the whole page takes
# about half a minute.

# %%
import numpy as np
import xarray as xr

from ssbmaps import SsbmapsError, figures, interfaces, io, maps, synthetic

# %% [markdown]
# ## A file to start from
#
# **The section on this page is synthetic.** The next cell draws it: NMC particles in a thiophosphate electrolyte,
# with carbon fibres and voids; around each particle an interphase 0.2 µm thick that emits PO₂⁻, PO₃⁻ and, in its
# inner part, SO₂⁻ and SO₃⁻. It is "measured" with a beam of 0.2 µm (full width at half maximum), 20 scans of 25 shots
# per pixel, a detector with a dead time and a stage that drifts. Because all this is planted, the results can be
# compared with the truth further down.
#
# **With a file of your own** write `file = "my_measurement.imzML"` in place of the next cell (the `.ibd` lies beside
# it), and put in your ions and your number of shots further down. Cells in which `section` occurs cannot run then:
# the drift, unless your file keeps its scans, and the comparison with the truth.

# %%
instrument = synthetic.Instrument(drift=0.2, leak=())  # um from first to last scan; no ions of equal mass
section = synthetic.cross_section(seed=1, shape=(160, 208), n_scans=20, instrument=instrument)
spectra = synthetic.spectrum_cube(section, seed=1, resolution=5000)
file = synthetic.write_imzml(spectra, "section.imzML", overwrite=True)
file.name

# %% [markdown]
# ## Read
#
# `io.info` looks into a file without loading its spectra; `io.read` loads them.

# %%
io.info(file)

# %%
cube = io.read(file)
dict(cube.sizes), cube.attrs["units"]

# %% [markdown]
# The result is a *cube*: a spectrum of counts along `mz` for every pixel along `y` and `x`. It is an
# [xarray](https://docs.xarray.dev) object: axes have names, and coordinates in µm and Da. Nearly all of its entries
# are 0, since a pixel gets a few dozen ions in thousands of mass channels. Therefore only the others are stored
# ("sparse").

# %%
print(f"{cube.data.nnz:,} of {cube.data.size:,} entries are stored: {cube.data.nnz / cube.data.size:.2%}")
print(f"x runs from {float(cube.x[0])} to {float(cube.x[-1])} {cube.x.units}, pixel centres; y runs downwards")

# %% [markdown]
# ## Look
#
# First all ions together. Gaps, stripes, bright dirt and a beam that faded would show here.

# %%
figures.map_figure(maps.total(cube), title="all ions")

# %% [markdown]
# Then all pixels together: the summed spectrum, with the positions of its strongest peaks.

# %%
figures.spectrum_figure(cube, peaks=6, scale="log")

# %% [markdown]
# ## Assign
#
# **Is the mass axis right?** `calibrate_mass` looks for peaks of common ions, and corrects the axis by them. How good
# the result is, is judged on ions that were left out: each is predicted by all others.

# %%
cube = maps.calibrate_mass(cube)
print("ions used:", cube.attrs["calibration_ions"])
before, after = cube.attrs["calibration_ppm_before"], cube.attrs["calibration_ppm_after"]
print(f"distance to their exact masses: {before:.1f} ppm before, {after:.1f} ppm after")

# %% [markdown]
# Some ppm are as good as nothing: our axis was right from the start. When there is nothing to gain, the function
# refuses and says so. Errors of ssbmaps are letters: what came, what was expected, what to do.

# %%
try:
    maps.calibrate_mass(cube)
except SsbmapsError as letter:
    print(letter)

# %% [markdown]
# **How far apart must two ions be?** That depends on the mass resolution m/Δm, measured here on peaks of single ions.

# %%
peaks = maps.mass_resolution(cube)
peaks[["resolution", "resolution_sd", "counts"]].to_dataframe().round(3)

# %% [markdown]
# **Maps of ions.** Name the ions you are after. `fragment_maps` adds up the counts within ±300 ppm of their exact
# masses.

# %%
ions = ["NiO2-", "S-", "Cl-", "C2-", "PO2-", "PO3-", "SO2-", "SO3-"]
counts = maps.fragment_maps(cube, ions)

# %% [markdown]
# The warning is to be taken seriously: nearly half of the "PO₂⁻" is PS⁻ from the electrolyte, 17.8 mDa away. Whoever
# maps it as it stands finds "PO₂⁻" all over the electrolyte. A second text travels with the maps and says what no
# mass spectrum can tell:

# %%
print(counts.attrs["notes"])

# %% [markdown]
# This is the pair in the summed spectrum:

# %%
figures.spectrum_figure(cube, assigned=["PS-", "PO2-"], axis_range=(62.9, 63.02))

# %% [markdown]
# `separate_doublet` fits both peaks to the summed spectrum, says whether they can be told apart at all at this
# resolution, and makes a map of each without the other's share.

# %%
pair = maps.separate_doublet(cube, ["PS-", "PO2-"])
print("separable:", bool(pair["separable"]))
print(f"m/Δm needed {float(pair['needed_resolution']):.0f}, measured {float(pair['resolution']):.0f}")
pair[["total", "total_sd"]].to_dataframe().drop(columns="fragment_mz").round(0)

# %%
window = counts.sel(fragment="PO2-").astype(float)
alone = pair["counts"].sel(fragment="PO2-")
both = xr.concat([window.reset_coords(drop=True), alone.reset_coords(drop=True)], "fragment")
both = both.assign_coords(fragment=["window of PO2-", "PO2- without PS-"])
figures.grid_figure(both, limits=(0, 6), cmap="navia")

# %% [markdown]
# Four ions in one picture; each has a brightness of its own, so compare places, not ions.

# %%
figures.composite_figure(counts, fragments=["NiO2-", "S-", "C2-", "PO3-"])

# %% [markdown]
# ## Correct
#
# **Dead time.** After an ion the detector is blind for some tens of nanoseconds, so that each shot counts at most one
# ion of a kind, and a light ion hides a heavier one that comes just behind it. Where many ions arrive, counts are
# lost. `correct_dead_time` needs one number from the acquisition protocol: how many shots each pixel got, here 25 in
# each of 20 scans. With `spectrum=cube` it also counts the ions that have no map.

# %%
corrected = maps.correct_dead_time(counts, shots=25 * 20, spectrum=cube)
corrected[["correction", "masked", "n_saturated"]].to_dataframe().drop(columns=["mz_low", "mz_high"]).round(4)

# %% [markdown]
# `correction` is corrected over measured counts, `masked` the share of the shots that a lighter ion had taken,
# `n_saturated` the pixels in which every shot counted, so that no correction is possible. Correct for dead time
# first: the function needs counts as they were measured, and refuses smoothed or subtracted maps. (For PO₂⁻ without
# PS⁻ the loss is left as it is: below 1 %.)
#
# **Drift.** Between scans the stage moves. imzML files mostly hold the sum of all scans, like ours; where your file
# keeps them (`scan` among the dimensions of the cube), `fragment_maps` keeps them, too. Here we take the maps of the
# 20 scans from the section.

# %%
series = section["counts"]
drift = maps.align_scans(series)
way = np.hypot(drift.shift_x - drift.shift_x[0], drift.shift_y - drift.shift_y[0])
spread = float(np.sqrt((drift.shift_x**2 + drift.shift_y**2).mean() / 2))
print(f"largest distance from the first scan: {float(way.max()):.3f} um")
print(f"error of one scan's shift: {float(drift.shift_x_sd.mean()):.3f} um")
print(f"spread of the scans about their mean position: {spread:.3f} um (standard deviation along one axis)")

# %% [markdown]
# `align_scans` finds the shifts and leaves the counts alone. A spread of 0.04 µm is less than half a pixel: it blurs
# the sum a little more than the beam does (σ = 0.085 µm), and we can leave it at that.
#
# ## Label
#
# Which pixel is which phase? Each phase is named with the ion or ions that mark it, every one that has a marker: a layer
# between two phases, if it is not named, is shared out between them. `label_phases` looks for the labels that explain all
# these maps together when they are seen through a blurred beam, whose width and the phases' levels it finds on the way.

# %%
phases = {"NMC": "NiO2-", "electrolyte": ["S-", "Cl-"], "carbon": "C2-", "interphase": ["PO2-", "PO3-"]}
labels = maps.label_phases(corrected["counts"], phases, voids="void")
figures.map_figure(labels)

# %% [markdown]
# Ground that emits little of anything is called a void. What fits no phase and is no void stays unassigned: nothing is
# guessed.

# %%
for value, name in zip(labels.flag_values, labels.flag_meanings.split(), strict=True):
    print(f"{name}: {float((labels == value).mean()):.1%} of the area")

# %% [markdown]
# ## Profile
#
# The labels know the edge to a pixel. `distance_to` finds it more finely, from the signal that the particles
# themselves emit (`image=`), and gives each pixel its distance to the nearest edge: negative inside, positive
# outside. The grey line in the figure is this edge.

# %%
distance = interfaces.distance_to(labels, "NMC", image=corrected["counts"].sel(fragment="NiO2-"))
figures.map_figure(corrected["counts"].sel(fragment="PO3-"), contours=distance)

# %% [markdown]
# Now all pixels at the same distance are averaged; the band, hardly wider than the line, is one standard error. Left
# out (`where=`) are pixels nearer than 0.3 µm to carbon, and a margin of 1 µm, since beyond the frame there may be
# particles that nobody sees. Voids are in: they make S⁻ fall a little far from the particles.

# %%
y, x = labels["y"], labels["x"]
inner = (y > 1) & (y < y.max() - 1) & (x > 1) & (x < x.max() - 1)
used = inner & (interfaces.distance_to(labels, "carbon") > 0.3)
profile = interfaces.distance_profile(corrected["counts"], distance, where=used)
near = profile.sel(distance=slice(-1.5, 1.5))
figures.profile_figure(near.sel(fragment=["NiO2-", "S-"]), inside="NMC", outside="electrolyte")

# %%
shell = figures.profile_figure(near.sel(fragment=["PO3-", "SO2-", "SO3-"]), inside="NMC", outside="electrolyte")
shell

# %% [markdown]
# PO₃⁻, SO₂⁻ and SO₃⁻ stand at the edge, between particle and electrolyte. How sharp can this picture be at all? The
# edge of NiO₂⁻ tells. (A little too good: the same counts put the line where it is.)

# %%
edge = interfaces.edge_width(corrected["counts"].sel(fragment="NiO2-"), distance, where=used)
print(f"effective edge width: sigma = {float(edge.sigma):.3f} ± {float(edge.sigma_sd):.3f} um")

# %% [markdown]
# ## Print
#
# `save` writes a figure at the exact width of a journal's column (RSC, ACS, Elsevier) with 7 pt type; text stays text
# in PDF and SVG. Save the numbers, too; they carry the history of how they were made, with all options.

# %%
figures.save(shell, "profile.pdf", journal="rsc", columns=1, overwrite=True)
io.save(profile, "profile.nc", overwrite=True)
io.save(corrected, "maps.nc", overwrite=True)
for step in corrected.attrs["history"].splitlines():
    function, version, options = step.split(" ", 2)
    print(function, options[:80])

# %% [markdown]
# ## How near is it to the truth?
#
# Only a synthetic section can be asked this. **Ions of the doublet**, found and planted:

# %%
planted = section["counts"].sum(["scan", "y", "x"])
for ion in ["PS-", "PO2-"]:
    found, error = float(pair.total.sel(fragment=ion)), float(pair.total_sd.sel(fragment=ion))
    true = int(planted.sel(fragment=ion))
    print(f"{ion}: {found:.0f} ± {error:.0f}, planted {true}; off by {(found - true) / error:+.1f} standard errors")

# %% [markdown]
# **Dead time**, where it costs most: S⁻ deep in the electrolyte, NiO₂⁻ deep in the particles. The window of ±300 ppm
# holds nearly all of a peak, but not quite: `mass_resolution` counted the whole peak, so the share is known, and with
# it the rest of the loss is explained. All numbers are shares of the ions that arrived.

# %%
arrived = (section["ideal"] * section["gain"]).assign_attrs(units="counts")  # ions per pixel without any loss
for ion, deep in [("S-", section["distance"] > 0.6), ("NiO2-", section["distance"] < -0.5)]:
    true = float(arrived.sel(fragment=ion).where(deep).mean())
    before = float(counts.sel(fragment=ion).where(deep).mean()) / true
    after = float(corrected["counts"].sel(fragment=ion).where(deep).mean()) / true
    held = float(counts.sel(fragment=ion).sum() / peaks["counts"].sel(fragment=ion))
    print(f"{ion}: {before:.3f} measured, {after:.3f} corrected, {after / held:.3f} with the rest of the peak")

# %% [markdown]
# **Drift** and **edge**, in µm:

# %%
wrong_x = drift.shift_x + section["drift_x"] - section["drift_x"].mean()
wrong_y = drift.shift_y + section["drift_y"] - section["drift_y"].mean()
rms = float(np.sqrt((wrong_x**2 + wrong_y**2).mean() / 2))
print(f"shifts: {rms:.4f} um off (rms), stated {float(drift.shift_x_sd.mean()):.4f} um")
offset = (distance - section["distance"]).where(inner & (abs(section["distance"]) < 0.5))
print(f"edge: {float(offset.mean()):+.3f} um off on average, {float(offset.std()):.3f} um from place to place")

# %% [markdown]
# **Profile.** The planted one is what the same beam would see of the section without noise, drift and losses. The
# measured one is a little lower and wider: that is the drift.

# %%
truth = interfaces.distance_profile(arrived, section["distance"], where=used).sel(distance=slice(-1.5, 1.5))
two = [p.sel(fragment="PO3-").reset_coords(drop=True) for p in (near, truth)]
two = xr.concat(two, "fragment").assign_coords(fragment=["PO3- measured", "PO3- planted"])
figures.profile_figure(two, inside="NMC", outside="electrolyte")


# %%
def area(profile, fragment):
    """Signal above the electrolyte's, summed over the distance (counts um per pixel), and its standard error."""
    at_edge = profile.sel(fragment=fragment, distance=slice(-0.5, 0.7))  # bins of 0.1 um
    level = float(profile["mean"].sel(fragment=fragment, distance=slice(0.7, 1.5)).mean())
    counting = at_edge["sem"] ** 2 / at_edge["dispersion"]  # of this section's own pixels, independent from bin to bin
    return float((at_edge["mean"] - level).sum()) * 0.1, float(np.sqrt(counting.sum())) * 0.1


def width(profile, fragment):
    """Width of the profile at half its height, um."""
    fine = profile["mean"].sel(fragment=fragment).interp(distance=np.arange(-0.5, 0.7, 0.001))
    return float((fine > fine.max() / 2).sum()) * 0.001


for ion, thickness in [("PO3-", section.attrs["thickness_POx"]), ("SO3-", section.attrs["thickness_SOx"])]:
    (measured, error), (true, _) = area(near, ion), area(truth, ion)
    print(f"{ion}: area {measured:.3f} ± {error:.3f}, planted {true:.3f}")
    print(f"      width at half height {width(near, ion):.2f} um, thickness {thickness:.2f} um")

# %% [markdown]
# The area under the profile is the planted one: blur and drift spread counts, and lose none. **The width is not the
# thickness**, and for the thinner layer not even near to it: what is narrower than the beam looks as wide as the
# beam.
#
# ## What could go wrong
#
# **The file does not say how large a pixel is.** ssbmaps never guesses. Here is a corner of our map as a file from
# which these two lines were taken out:

# %%
mute = synthetic.write_imzml(cube.isel(y=slice(10), x=slice(12)), "mute.imzML", overwrite=True)
lines = mute.read_text(encoding="latin-1").splitlines()
mute.write_text("\n".join(line for line in lines if "pixel size" not in line), encoding="latin-1")
try:
    io.read(mute)
except SsbmapsError as letter:
    print(letter)

# %% [markdown]
# **The number of shots is wrong.** Too small a number is found out, if counts exceed it; too large a number is not,
# and the correction comes out too small. Look it up in the acquisition protocol.

# %%
try:
    maps.correct_dead_time(counts, shots=25)  # per scan, but these are sums of 20 scans
except SsbmapsError as letter:
    print(letter)

# %% [markdown]
# **Another ion of nearly the same mass adds to a map.** `fragment_maps` looks for pairs that are frequent in battery
# sections. What else might be there is listed by `interferences`; `leak` is the share of the neighbour's peak that
# falls into the window. Where the resolution is too low, `separate_doublet` says "not separable" and gives no maps:
# then report the sum under both names.

# %%
table = maps.interferences(["PO2-", "SO3-"], resolution=peaks).to_dataframe()
table[table["abundance"] > 0.1][["fragment", "neighbour", "difference", "needed_resolution", "leak"]].round(4)

# %% [markdown]
# **Charging, curtaining, tilt, shadows, wear.** Charging moves and widens peaks from place to place; the ion beam
# that cut the section leaves stripes; a tilted face is squeezed along one direction. `section_quality` looks for such
# marks, one line for each.

# %%
quality = interfaces.section_quality(counts, labels, phase="NMC", marker="NiO2-", distance=distance, cube=cube)
for finding in quality["finding"][quality["flagged"] == 1]:
    print(f"{finding['check'].item()}: {finding.item()}")
quality[["p_value", "flagged", "testable"]].to_dataframe()[["p_value", "flagged", "testable"]].round(3)

# %% [markdown]
# Two checks are flagged; their sentences name what could do that and claim no cause. The edges are wider along one
# direction: here we know why, the stage drifted nearly along it (160°). The stripes are a false alarm: this section has
# none. Nine checks are made, each with a false alarm in about a hundred sections, and where a few large particles fill the
# map in more; look at the map before you believe a flag.
#
# **Drift is larger than here.** Beyond about a pixel leave scans out or use the middle ones only. Scans that are
# blank, repeated or from another place get no shift, and a warning names them.
#
# **The first scans show the surface.** Air and handling leave carbon and oxygen on a section; the first scans remove
# them.

# %%
carbon = series.sel(fragment="C2-").sum(["y", "x"])
print(f"C2-: {int(carbon[0])} counts in the first scan, {int(carbon[5])} in the sixth, {int(carbon[-1])} in the last")

# %% [markdown]
# This section was planted with such a film, and our C₂⁻ map holds all scans. If the first ones differ in your data,
# compare with and without them: `maps.fragment_maps(cube.isel(scan=slice(5, None)), ions)`.
#
# **It is one field of view.** The error bands hold the scatter from pixel to pixel. They say nothing of the next
# particle, the next section or the next cell; area fractions of some ten particles vary by many per cent. Measure
# several fields, and average cells, not pixels.
#
# **A profile is not a thickness.** Beam, pixels, drift and roughness are in its width, and a section cuts most
# particles askew, which makes layers look wider than they are.
#
# **Counts are not concentrations.** Ion yields differ from ion to ion and from phase to phase, a hundredfold or more.
# Compare one ion in one phase between samples; do not compare S⁻ with PO₃⁻, nor S⁻ in the electrolyte with S⁻ on
# carbon.
#
# What an axis, a unit or an attribute means is written down in [the data contract](../docs/contract.md).
