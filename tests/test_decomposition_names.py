"""Names of components: planted ions, bands and lines are proposed, with what cannot be told from them; never a claim."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from ssbmaps import SsbmapsError
from ssbmaps._bands import AUGER_LINES, RAMAN_BANDS
from ssbmaps._ions import parse_ion
from ssbmaps.decomposition import name_components

SIGMA = 25e-6  # relative: m/Δm of 17,000, so that ± 300 ppm hold a peak whole


def _peaks(mz, ions, *, shift=0.0, background=0.0):
    """A spectrum of Gaussian peaks (name: share) off by `shift` (relative), on an even background of that share."""
    out = np.full(len(mz), background / len(mz))
    for name, share in ions.items():
        centre = parse_ion(name).mz * (1 + shift)
        peak = np.exp(-0.5 * ((mz - centre) / (SIGMA * centre)) ** 2)
        out += (1 - background) * share * peak / peak.sum()
    return out


def _result(spectra, axis, channel="mz", **attrs):
    names = ("component", channel)
    return xr.Dataset(
        {"spectra": (names, np.asarray(spectra))}, {channel: axis, "component": ["p", "q"][: len(spectra)]}, attrs=attrs
    )


MZ = np.arange(20.0, 100.0, 0.001)
NEGATIVE = {"polarity": "negative", "history": "nmf"}


class TestIons:
    def test_planted_ions_are_proposed_largest_first(self):
        planted = [{"NiO2-": 0.8, "C2-": 0.15, "CoO-": 0.05}, {"S-": 0.5, "Cl-": 0.3, "PO3-": 0.2}]
        named = name_components(_result([_peaks(MZ, p, shift=40e-6) for p in planted], MZ, **NEGATIVE))
        for i, ions in enumerate(planted):
            assert named.proposal.values[i, :3].tolist() == list(ions)
            np.testing.assert_allclose(named.share[i, :3], list(ions.values()), atol=1e-3)
            np.testing.assert_allclose(named.offset[i, :3], 40, atol=1)
            assert (named.proposal.values[i, 3:] == "").all()
            assert np.isnan(named.share[i, 3:]).all()
        np.testing.assert_allclose(named.named, 1, atol=1e-3)
        # each ion is in one of two components of equal weight: its share is twice that of the sum
        np.testing.assert_allclose(named.contrast[:, :3], 2, atol=0.01)
        assert str(named.statement[1].values).startswith("resembles S- or PH- (50 %, 2.0 × the mean), Cl- (30 %, ")
        assert named.attrs["history"].splitlines()[0] == "nmf"

    def test_ions_of_one_window_are_alternatives_and_a_narrow_one_tells_them_apart(self):
        spectra = [_peaks(MZ, {"PO2-": 1.0})]
        wide = name_components(_result(spectra, MZ, **NEGATIVE))
        others = str(wide.alternatives[0, 0].values).split(", ")
        assert (str(wide.proposal[0, 0].values), "PS-" in others, "Cu-" in others) == ("PO2-", True, False)  # 283, 554 ppm off
        assert "PO2- or PS-" in str(wide.statement[0].values)
        narrow = name_components(_result(spectra, MZ, **NEGATIVE), tolerance_ppm=150)
        assert (str(narrow.proposal[0, 0].values), str(narrow.alternatives[0, 0].values)) == ("PO2-", "")

    def test_rare_isotopologues_need_their_main_ion(self):
        natural = _peaks(MZ, {"Cl-": 0.7577, "[37Cl]-": 0.2423})
        alone = _peaks(MZ, {"[37Cl]-": 1.0})
        named = name_components(_result([natural, alone], MZ, **NEGATIVE))
        assert named.proposal.values[0, :2].tolist() == ["Cl-", "[37Cl]-"]
        assert "[37Cl]-" not in (str(named.proposal[1, 0].values), *str(named.alternatives[1, 0].values).split(", "))

    def test_no_candidate_and_no_peak_are_said(self):
        odd = (
            _peaks(MZ, {"C2-": 0.6})
            + 0.4 * np.exp(-0.5 * ((MZ - 41.5) / 0.001) ** 2) / np.exp(-0.5 * ((MZ - 41.5) / 0.001) ** 2).sum()
        )
        named = name_components(_result([odd, np.full(len(MZ), 1.0)], MZ, **NEGATIVE))
        assert str(named.statement[0].values) == "resembles C2- (60 %, 2.0 × the mean); no candidate at 41.5 (40 %)"
        assert float(named.named[0]) == pytest.approx(0.6, abs=1e-3)
        assert str(named.statement[1].values) == "resembles a background without known peaks"

    def test_the_foot_of_a_broad_peak_is_no_peak(self):
        centre = parse_ion("S-").mz
        broad = 1 / (1 + ((MZ - centre) / 0.01) ** 2)  # 40 % of it outside ± 300 ppm
        named = name_components(_result([broad], MZ, **NEGATIVE), max_peaks=10)
        assert (named.proposal.values[0] != "").sum() == 1
        assert "no candidate" not in str(named.statement[0].values)

    def test_given_candidates_and_polarity(self):
        result = _result([_peaks(MZ, {"Ni+": 1.0})], MZ)
        assert str(name_components(result, polarity="positive").proposal[0, 0].values) == "Ni+"
        one = name_components(result, candidates=["NiH+", "Ni+"])
        assert (str(one.proposal[0, 0].values), str(one.alternatives[0, 0].values)) == ("Ni+", "")
        with pytest.raises(SsbmapsError, match="the data state no polarity"):
            name_components(result)
        with pytest.raises(SsbmapsError, match="'Xx-'"):
            name_components(result, candidates=["Xx-"])

    def test_contrast_weighs_components_by_their_counts(self):
        result = _result([_peaks(MZ, {"S-": 1.0}), _peaks(MZ, {"C2-": 1.0})], MZ, **NEGATIVE)
        result["abundance"] = (("component", "point"), [[30.0], [10.0]], {"units": "counts"})
        named = name_components(result)
        np.testing.assert_allclose(named.contrast[:, 0], [4 / 3, 4], rtol=1e-6)

    def test_named_channels_list_what_shares_their_window(self):
        result = _result([[0.9, 0.095, 0.005], [0.0, 0.2, 0.8]], ["PO2-", "C2-", "rest"], "fragment")
        named = name_components(result)
        assert named.proposal.values[0, :3].tolist() == ["PO2-", "C2-", ""]
        assert "PS-" in str(named.alternatives[0, 0].values)
        assert named.proposal.values[1, :2].tolist() == ["rest", "C2-"]
        assert (str(named.alternatives[1, 0].values), np.isnan(named.position[1, 0].values)) == ("", True)


class TestBandsAndLines:
    AXIS = np.arange(150.0, 1750.0, 1.7)

    def _raman(self, *names, background=2.0):
        spectrum = sum(
            60 * 1 / (1 + ((self.AXIS - b.raman_shift) / (b.width / 2)) ** 2) / b.width for n in names for b in RAMAN_BANDS[n]
        )
        hump = np.exp(-0.5 * ((self.AXIS - 1100) / 600) ** 2)
        return np.random.default_rng(0).poisson(2000 * (spectrum + background * hump)).astype(float)

    def test_planted_raman_bands(self):
        named = name_components(_result([self._raman("NMC"), self._raman("PS4^3-", "carbon")], self.AXIS, "raman_shift"))
        assert set(named.proposal.values[0][:2]) == {"NMC (A1g, 590)", "NMC (Eg, 475)"}
        assert "Co3O4 (Eg, 482)" in str(named.alternatives[0].values[list(named.proposal.values[0]).index("NMC (Eg, 475)")])
        assert set(named.proposal.values[1][:3]) == {"PS4^3- (A1, 420)", "carbon (D, 1350)", "carbon (G, 1590)"}
        found = named.proposal.values != ""
        assert np.abs(named.offset.values[found]).max() < 12  # 1/cm; the D band is 130 wide, and noise moves its top

    def test_a_hump_alone_has_no_bands(self):
        named = name_components(_result([np.exp(-0.5 * ((self.AXIS - 900) / 500) ** 2)], self.AXIS, "raman_shift"))
        assert str(named.statement[0].values) == "resembles a background without known peaks"

    def test_auger_lines_and_given_positions(self):
        axis = np.arange(30.0, 900.0, 1.0)
        spectrum = 50 + 3000 / axis
        for name in ("O KLL", "Ni LMM"):
            spectrum = spectrum + 40 / (1 + ((axis - AUGER_LINES[name].kinetic_energy + 2) / 5) ** 2)
        named = name_components(_result([spectrum], axis, "kinetic_energy"))
        assert set(named.proposal.values[0][:2]) == {"O KLL", "Ni LMM"}
        np.testing.assert_allclose(named.offset[0, :2], -2, atol=1.01)
        given = name_components(_result([spectrum], axis, "kinetic_energy"), candidates={"oxygen": 502.0})
        assert given.proposal.values[0].tolist()[:2] == ["oxygen", ""]


class TestReferences:
    def _case(self, counts):
        rng = np.random.default_rng(1)
        base = rng.gamma(0.5, 1, 60)
        references = np.array([base, base * (1 + 0.1 * rng.standard_normal(60)).clip(0.1), rng.gamma(0.5, 1, 60)])
        spectra = rng.poisson(counts * base / base.sum())[None].astype(float)
        result = _result(spectra, np.arange(60.0), "raman_shift")
        result["abundance"] = (("component", "point"), [[float(counts)]], {"units": "counts"})
        axis = {"raman_shift": np.arange(60.0), "reference": ["right", "near", "other"]}
        return result, xr.DataArray(references, axis, ("reference", "raman_shift"))

    def test_few_counts_leave_near_references_open_and_many_do_not(self):
        few, many = (name_components(*self._case(n)[:1], references=self._case(n)[1]) for n in (200, 2_000_000))
        assert few.as_good_as_best.values.tolist() == [[1, 1, 0]]
        assert "cannot be told apart from" in str(few.statement[0].values)
        assert many.as_good_as_best.values.tolist() == [[1, 0, 0]]
        assert "nearest reference right (cosine 1.000 [1.000, 1.000])" in str(many.statement[0].values)
        assert (few.cosine_low < few.cosine).all()
        assert (few.cosine <= few.cosine_high).all()

    def test_cosine_by_hand_without_counts_and_other_axes(self):
        result, references = self._case(200)
        plain = result.drop_vars("abundance").rename(raman_shift="binding_energy")
        table = references.rename(raman_shift="binding_energy")
        named = name_components(plain, references=table)
        s, r = result.spectra.values[0], references.values
        np.testing.assert_allclose(named.cosine[0], r @ s / np.linalg.norm(s) / np.linalg.norm(r, axis=1), rtol=1e-12)
        assert np.isnan(named.cosine_low).all()
        with pytest.raises(SsbmapsError, match="nothing is known of lines along binding_energy; pass references="):
            name_components(plain)

    def test_refusals(self):
        result, references = self._case(200)
        with pytest.raises(SsbmapsError, match="lie on another raman_shift axis"):
            name_components(result, references=references.assign_coords(raman_shift=np.arange(60.0) + 1))
        with pytest.raises(SsbmapsError, match=r"references: expected a DataArray \(reference, raman_shift\)"):
            name_components(result, references=references.values)
        with pytest.raises(SsbmapsError, match="hold a spectrum that is 0 everywhere"):
            name_components(result, references=references * 0)


def test_refusals_and_inputs_left_alone():
    result = _result([_peaks(MZ, {"S-": 1.0})], MZ, **NEGATIVE)
    before = result.copy(deep=True)
    name_components(result)
    xr.testing.assert_identical(result, before)
    with pytest.raises(SsbmapsError, match="as nmf and mcr give, got loadings"):
        name_components(xr.Dataset({"loadings": (("component", "mz"), np.eye(2))}))
    with pytest.raises(SsbmapsError, match="principal components have no names"):
        name_components(-result)
    with pytest.raises(SsbmapsError, match=r"(?s)3 faults.*tolerance_ppm=0.*max_peaks=0.*polarity='minus'"):
        name_components(result, tolerance_ppm=0, max_peaks=0, polarity="minus")
    with pytest.raises(SsbmapsError, match="candidates='S-'; expected a list of ions"):
        name_components(result, candidates="S-")
    with pytest.raises(SsbmapsError, match="spectra lie along point"):
        name_components(xr.Dataset({"spectra": (("component", "point"), np.eye(2))}))
