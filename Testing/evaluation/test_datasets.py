"""Readers of the data sets that have to be asked for, each on a small folder in its owner's format."""

import numpy as np
import pytest
import SimpleITK as sitk

from DiffuseMorphCore.errors import DiffuseMorphError
from DiffuseMorphCore.evaluation.datasets import DATA_SETS, open_data_set
from DiffuseMorphCore.evaluation.datasets.acdc import Acdc
from DiffuseMorphCore.evaluation.datasets.geometry import centre_crop_or_pad, resize, scale_whole
from DiffuseMorphCore.evaluation.datasets.neurite_oasis import NeuriteOasis
from DiffuseMorphCore.evaluation.datasets.oasis3 import Oasis3, common_grid, read_talairach
from DiffuseMorphCore.evaluation.datasets.rafd import EXPRESSIONS, GAZES, Rafd


def write(array, path, spacing=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(array)
    if spacing:
        image.SetSpacing(spacing)
    sitk.WriteImage(image, str(path))


def write_patient(folder, number, size=(10, 150, 140), frames=6, first=1, last=4):
    """One ACDC patient: a bright cuboid that gets smaller from end-diastole to end-systole."""
    name = f"patient{number:03d}"
    patient = folder / name
    series = np.full((frames, *size), 20, np.int16)
    for index in range(frames):
        series[index, 2:8, 50 + 2 * index : 100 - 2 * index, 40:100] = 300 + index
    labels = np.where(series > 100, 3, 0).astype(np.uint8)
    patient.mkdir(parents=True)
    stack = sitk.JoinSeries([sitk.GetImageFromArray(volume) for volume in series])
    stack.SetSpacing((1.5, 1.5, 10.0, 1.0))
    sitk.WriteImage(stack, str(patient / f"{name}_4d.nii.gz"))
    for frame in (first, last):
        write(series[frame - 1], patient / f"{name}_frame{frame:02d}.nii.gz", (1.5, 1.5, 10.0))
        write(labels[frame - 1], patient / f"{name}_frame{frame:02d}_gt.nii.gz", (1.5, 1.5, 10.0))
    (patient / "Info.cfg").write_text(
        f"ED: {first}\nES: {last}\nGroup: NOR\nHeight: 180.0\nNbFrame: {frames}\nWeight: 70.0\n"
    )
    return patient


def test_acdc_comes_on_the_papers_grid_with_all_frames(tmp_path):
    for number in (1, 2, 3):
        write_patient(tmp_path / "training", number)
    data_set = Acdc(tmp_path, patients=3, test_patients=1)
    assert [len(data_set.pairs(split)) for split in ("train", "test")] == [2, 1]
    pair = data_set.pairs("test")[0]
    assert pair.name == "patient003_frame01_to_patient003_frame04"
    assert [frame.time for frame in pair.frames] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    image, labels = pair.fixed.image(), pair.fixed.labels()
    assert image.GetSize() == (128, 128, 32) and image.GetSpacing() == pytest.approx((1.5, 1.5, 3.15))
    array, mask = sitk.GetArrayFromImage(image), sitk.GetArrayFromImage(labels)
    assert array.min() == pytest.approx(-1) and array.max() == pytest.approx(1)
    assert set(np.unique(mask)) == {0, 3}
    # The label stays where the bright block is after resampling.
    assert array[mask == 3].mean() > 0.7 and array[mask == 0].mean() < -0.8
    # The volume of the block: 6 planes of 10 mm, 38 x 60 pixels of 1.5 mm.
    assert (mask == 3).sum() * 1.5 * 1.5 * 3.15 == pytest.approx(60 * 38 * 1.5 * 60 * 1.5, rel=0.03)
    between = sitk.GetArrayFromImage(pair.frames[1].image())
    assert (between > 0).sum() > (array > 0).sum()


def test_acdc_says_what_is_wrong(tmp_path):
    patient = write_patient(tmp_path, 1)
    with pytest.raises(DiffuseMorphError, match="1 patients.*100"):
        Acdc(tmp_path)
    data_set = Acdc(tmp_path, patients=1, test_patients=1)
    write(np.zeros((3, 4, 5), np.uint8), patient / "patient001_frame04_gt.nii.gz")
    with pytest.raises(DiffuseMorphError, match="frame04_gt.*size"):
        data_set.pairs("test")[0].fixed.labels()
    (patient / "patient001_frame04.nii.gz").unlink()
    with pytest.raises(DiffuseMorphError, match="patient001_frame04.nii.gz.*missing"):
        data_set.pairs("test")
    (patient / "Info.cfg").write_text("ED: 1\nES: x\nNbFrame: 6\n")
    with pytest.raises(DiffuseMorphError, match="Info.cfg"):
        data_set.pairs("test")
    with pytest.raises(DiffuseMorphError, match="no split 'validation'"):
        data_set.pairs("validation")


def test_a_beat_that_wraps_around_the_end_of_the_series(tmp_path):
    write_patient(tmp_path, 1, size=(4, 20, 20), frames=6, first=5, last=2)
    pair = Acdc(tmp_path, patients=1, test_patients=1).pairs("test")[0]
    assert [frame.name[-2:] for frame in pair.frames] == ["05", "06", "01", "02"]


def test_rafd_gives_ordered_pairs_within_subjects_in_grey_and_colour(tmp_path):
    y, x = np.indices((1024, 681))
    face = np.stack([x * 255 // 680, y * 255 // 1023, 128 + 120 * np.sin(x / 40) * np.sin(y / 40)], -1).astype(np.uint8)
    for subject in (1, 5, 7):
        for expression in EXPRESSIONS:
            for gaze in GAZES:
                shifted = np.roll(face, 7 * EXPRESSIONS.index(expression), axis=1)
                path = tmp_path / f"Rafd090_{subject:02d}_Caucasian_female_{expression}_{gaze}.jpg"
                sitk.WriteImage(sitk.GetImageFromArray(shifted, isVector=True), str(path))
    (tmp_path / "Rafd045_01_Caucasian_female_angry_left.jpg").write_bytes(b"another camera")
    data_set = Rafd(tmp_path, split_sizes={"train": 1, "validation": 1, "test": 1})
    pairs = data_set.pairs("validation")
    assert len(pairs) == 24 * 23 and {pair.fixed.subject for pair in pairs} == {"05"}
    scan = pairs[0].moving
    grey = sitk.GetArrayFromImage(scan.image())
    assert grey.shape == (128, 128) and -1 <= grey.min() < -0.2 and 0.2 < grey.max() <= 1
    colours = [sitk.GetArrayFromImage(channel) for channel in data_set.colour_channels(scan)]
    luminance = sum(weight * channel for weight, channel in zip((0.2125, 0.7154, 0.0721), colours))
    assert luminance == pytest.approx(grey, abs=1e-4)
    # Pixel (0, 0) shows 5 x 5 pixels of the photograph from row 192, column 20; the middle shows its middle.
    for row, column in ((0, 0), (63, 64), (127, 20)):
        seen = (
            face[192 + 5 * row : 197 + 5 * row, 20 + 5 * column : 25 + 5 * column].reshape(-1, 3).mean(0) / 255 * 2 - 1
        )
        assert [channel[row, column] for channel in colours] == pytest.approx(seen.tolist(), abs=0.05)
    (tmp_path / "Rafd090_05_Caucasian_female_sad_left.jpg").unlink()
    with pytest.raises(DiffuseMorphError, match="sad.*left"):
        Rafd(tmp_path, split_sizes={"train": 1, "validation": 1, "test": 1}).pairs("validation")
    with pytest.raises(DiffuseMorphError, match="67"):
        Rafd(tmp_path)


def test_neurite_oasis_reads_names_and_pairs_neighbours(tmp_path):
    (tmp_path / "seg35_labels.txt").write_text(
        "  0  Background   0 0 0 0\n  1  Left-Cerebral-White-Matter   245 245 245 0\n 2 Left-Cerebral-Cortex 205 62 78 "
        "0\n"
    )
    for number in range(1, 6):
        person = tmp_path / f"OASIS_OAS1_{number:04d}_MR1"
        write(np.full((6, 5, 4), number / 9, np.float32), person / "aligned_norm.nii.gz")
        write(np.full((6, 5, 4), 2, np.uint8), person / "aligned_seg35.nii.gz")
    data_set = NeuriteOasis(tmp_path, people=5, validation_people=3, voxels=120)
    assert data_set.structures == {1: "Left-Cerebral-White-Matter", 2: "Left-Cerebral-Cortex"}
    assert [(pair.moving.name[11:15], pair.fixed.name[11:15]) for pair in data_set.pairs("validation")] == [
        ("0004", "0003"),
        ("0005", "0004"),
    ]
    assert len(data_set.pairs("train")) == 2
    assert sitk.GetArrayFromImage(data_set.pairs("train")[0].moving.image()).mean() == pytest.approx(1 / 9)
    with pytest.raises(DiffuseMorphError, match="5 people.*414"):
        NeuriteOasis(tmp_path)
    with pytest.raises(DiffuseMorphError, match="160 x 192 x 224"):
        NeuriteOasis(tmp_path, people=5, validation_people=3).pairs("train")[0].moving.image()


def test_oasis3_places_scans_by_their_talairach_transform(tmp_path):
    nibabel = pytest.importorskip("nibabel", reason="FreeSurfer volumes need the package nibabel")
    # Two volumes of different orientation show one blob; their transforms bring it to the same MNI point.
    target = np.array([12.0, -20.0, 6.0])
    orientations = {
        "OAS30001": np.array([[-1.0, 0, 0, 20], [0, 0, 1, -30], [0, -1, 0, 25], [0, 0, 0, 1]]),
        "OAS30002": np.array([[1.0, 0, 0, -20], [0, 1, 0, -40], [0, 0, 1, -15], [0, 0, 0, 1]]),
        "OAS30003": np.array([[1.0, 0, 0, -20], [0, 1, 0, -40], [0, 0, 1, -15], [0, 0, 0, 1]]),
        "OAS30004": np.array([[1.0, 0, 0, -20], [0, 1, 0, -40], [0, 0, 1, -15], [0, 0, 0, 1]]),
    }
    for person, affine in orientations.items():
        mri = tmp_path / f"{person}_Freesurfer53_d0100" / "mri"
        (mri / "transforms").mkdir(parents=True)
        index = np.indices((40, 40, 40)).reshape(3, -1)
        world = affine[:3, :3] @ index + affine[:3, 3:]
        middle = np.array([2.0, -12.0, 4.0])
        distance = ((world - middle[:, None]) ** 2).sum(0).reshape(40, 40, 40)
        nibabel.save(nibabel.MGHImage((100 * np.exp(-distance / 18)).astype(np.float32), affine), mri / "brain.mgz")
        nibabel.save(nibabel.MGHImage((distance < 16).astype(np.int32) * 17, affine), mri / "aseg.mgz")
        shift = target - middle
        rows = "\n".join(" ".join(map(str, row)) for row in np.column_stack([np.eye(3), shift]))
        (mri / "transforms" / "talairach.xfm").write_text(
            f"MNI Transform File\n% tkregister2\n\nTransform_Type = Linear;\nLinear_Transform =\n{rows};\n"
        )
    data_set = Oasis3(tmp_path, size=(60, 60, 60), side=40)
    assert data_set.atlas().subject == "OAS30001"
    pairs = [pair for split in data_set.splits for pair in data_set.pairs(split)]
    assert sorted(pair.moving.subject for pair in pairs) == ["OAS30002", "OAS30003", "OAS30004"]
    for scan in (data_set.atlas(), pairs[0].moving):
        array = sitk.GetArrayFromImage(scan.image())
        peak = [int(i) for i in np.unravel_index(array.argmax(), array.shape)][::-1]
        where = np.array(scan.image().TransformIndexToPhysicalPoint(peak)) * (-1, -1, 1)
        assert where == pytest.approx(target, abs=0.9)
        assert set(np.unique(sitk.GetArrayFromImage(scan.labels()))) == {0, 17}
    assert common_grid().GetSize() == (160, 192, 224)
    with pytest.raises(DiffuseMorphError, match="cube of 256 voxels"):
        Oasis3(tmp_path).atlas().image()
    (tmp_path / "OAS30002_Freesurfer53_d0100" / "mri" / "aseg.mgz").unlink()
    with pytest.raises(DiffuseMorphError, match="aseg.mgz.*missing"):
        [data_set.pairs(split) for split in data_set.splits]
    broken = tmp_path / "broken.xfm"
    broken.write_text("Linear_Transform = 1 2 3;")
    with pytest.raises(DiffuseMorphError, match="broken.xfm"):
        read_talairach(broken)


def test_geometry_keeps_places_in_the_world():
    image = sitk.GaussianSource(
        sitk.sitkFloat32,
        [20, 21, 22],
        sigma=[3.0] * 3,
        mean=[12.0, 9.0, 11.0],
        scale=100.0,
        origin=[1.0] * 3,
        spacing=[2.0] * 3,
    )
    for changed in (centre_crop_or_pad(image, (12, 30, 22), 0.0), resize(image, (40, 21, 11), sitk.sitkLinear)):
        array = sitk.GetArrayFromImage(changed)
        mass = np.array([(axis * array).sum() / array.sum() for axis in np.indices(array.shape)])[::-1]
        middle = changed.TransformContinuousIndexToPhysicalPoint(mass.tolist())
        assert middle == pytest.approx((12, 9, 11), abs=0.6)


@pytest.mark.parametrize("name", sorted(set(DATA_SETS) - {"phantom", "phantom-2d"}))
def test_every_reader_names_a_folder_that_is_missing(name, tmp_path):
    with pytest.raises(DiffuseMorphError, match="nowhere"):
        open_data_set(name, tmp_path / "nowhere")
    with pytest.raises(DiffuseMorphError, match="--data"):
        open_data_set(name, None)
    with pytest.raises(DiffuseMorphError):
        data_set = open_data_set(name, tmp_path)
        [data_set.pairs(split) for split in data_set.splits]


def test_an_unknown_data_set_is_refused():
    with pytest.raises(DiffuseMorphError, match="brain-oasis"):
        open_data_set("mri", None)


def test_scaling_by_a_percentile_keeps_bright_spots_from_darkening_the_rest():
    array = np.linspace(10, 110, 1000, dtype=np.float32)[None]
    array[0, -1] = 5000
    image = sitk.GetImageFromArray(array)
    assert sitk.GetArrayFromImage(scale_whole(image))[0, :-1].max() < -0.9
    scaled = sitk.GetArrayFromImage(scale_whole(image, 99.0))[0]
    assert scaled.min() == -1 and scaled.max() == 1 and scaled[500] == pytest.approx(0, abs=0.02)
    assert set(sitk.GetArrayFromImage(scale_whole(sitk.Image([3, 3], sitk.sitkFloat32))).ravel()) == {-1}
