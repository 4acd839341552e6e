"""The figures of the paper (ECCV 2022, LNCS 13691, pages 347 to 364), to stand beside ours: mean and deviation."""

from __future__ import annotations

TABLE_1 = (
    ("Initial", {"nmse": "0.0363 (0.0268)", "ssim": "0.823 (0.066)", "folded_central": "0"}),
    ("VM", {"nmse": "0.0047 (0.0057)", "ssim": "0.936 (0.024)", "folded_central": "0.050 (0.106)"}),
    ("VM-diff", {"nmse": "0.0034 (0.0015)", "ssim": "0.957 (0.013)", "folded_central": "0.014 (0.065)"}),
    ("DiffuseMorph", {"nmse": "0.0032 (0.0017)", "ssim": "0.964 (0.011)", "folded_central": "0.017 (0.056)"}),
)
TABLE_2 = (
    ("Initial", {"dice_paper": "0.642 (0.188)", "path_psnr": "28.058 (2.205)", "path_nmse": "0.790e-8 (0.516e-8)"}),
    (
        "VM",
        {
            "dice_paper": "0.787 (0.113)",
            "folded_central": "0.169 (0.109)",
            "path_psnr": "30.678 (2.652)",
            "path_nmse": "0.477e-8 (0.453e-8)",
            "frame_seconds": "0.219",
        },
    ),
    (
        "VM-diff",
        {
            "dice_paper": "0.794 (0.104)",
            "folded_central": "0.291 (0.188)",
            "path_psnr": "29.481 (2.473)",
            "path_nmse": "0.602e-8 (0.477e-8)",
            "frame_seconds": "2.902",
        },
    ),
    (
        "DiffuseMorph",
        {
            "dice_paper": "0.802 (0.109)",
            "folded_central": "0.161 (0.082)",
            "path_psnr": "30.725 (2.579)",
            "path_nmse": "0.466e-8 (0.432e-8)",
            "frame_seconds": "0.456",
        },
    ),
)
TABLE_3 = (
    ("Initial", {"dice": "0.616 (0.171)", "folded_central": "0", "seconds": "0"}),
    ("SyN", {"dice": "0.752 (0.140)", "folded_central": "0.400 (0.100)", "seconds": "7320 (CPU)"}),
    ("VM", {"dice": "0.749 (0.145)", "folded_central": "0.553 (0.075)", "seconds": "0.6 (GPU)"}),
    ("VM-diff", {"dice": "0.731 (0.139)", "folded_central": "0.631 (0.073)", "seconds": "0.6 (GPU)"}),
    ("SYMNet", {"dice": "0.733 (0.148)", "folded_central": "0.547 (0.049)", "seconds": "26 (GPU)"}),
    ("MSDIRNet", {"dice": "0.751 (0.142)", "folded_central": "0.804 (0.089)", "seconds": "124 (GPU)"}),
    ("CycleMorph", {"dice": "0.750 (0.144)", "folded_central": "0.510 (0.087)", "seconds": "0.6 (GPU)"}),
    ("DiffuseMorph", {"dice": "0.756 (0.139)", "folded_central": "0.505 (0.058)", "seconds": "0.6 (GPU)"}),
)
TABLE_4 = (
    ("Initial", {"dice": "0.616 (0.171)"}),
    ("lambda = 2", {"dice": "0.736 (0.152)"}),
    ("lambda = 5", {"dice": "0.746 (0.143)"}),
    ("lambda = 10", {"dice": "0.756 (0.139)", "folded_central": "0.505 (0.058)"}),
)

REMARKS = {
    "folded_central": "The paper does not say with which differences it counts; central differences stand here, "
    "and the ten-determinant rule beside them.",
    "path_nmse": "The paper's NMSE of Table 2 is scaled in a way it does not state; ours is the plain ratio.",
    "MSDIRNet": "MSDIRNet has networks of its own, built here of this project's parts: a global one on half the grid "
    "and a local one on the full grid, attention gates, dilated inception, a critic. Unlike the original, both are "
    "trained together, the local one runs over whole images in place of patches, widths are those of the other "
    "methods, and similarity, smoothness, pairs, steps and rate too.",
    "uniGradICON": "uniGradICON is not run here: its weights (283 MB) are not at hand and do not come with its "
    "package.",
}
