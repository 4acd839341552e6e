"""The joint objective of a model with a canonical contrast: tissue, diffusion and registration, end to end."""

from __future__ import annotations

import torch
from torch import Tensor

from DiffuseMorphCore.networks.blocks import to_blocks
from DiffuseMorphCore.training.objective import Draw, JointObjective
from DiffuseMorphCore.training.tissue_pairs import TissuePair

IMAGE_WEIGHT = 4.0
"""Of the squared error of the canonical image beside cross-entropy and Dice of the tissues."""
_LEAST_VOXELS = 20  # a tissue with fewer says nothing by its Dice


class CanonicalObjective(JointObjective):
    """noise * (tissue loss of a noisy latent, or of one from step 0) + registration * equation 9 on the canonical
    images.

    The diffusion network has to give x_0, the canonical image, from an x_t with noise (``1 - zero_share`` of the steps:
    the noise loss of equation 8 with other weights of the time steps) and from the image itself, of any contrast, as
    inference does it. Both roles of a pair are trained at once. The deformation network gets the canonical images as
    they come out, so the gradient of the registration flows through the latent as in the paper; it is compared on the
    true ones. The control gets the images of any contrast themselves, and is compared on the true canonical ones too.
    """

    def forward(self, pair: TissuePair, drawn: Draw) -> dict[str, Tensor]:
        """The loss and its terms as scalars, "loss" among them; "tissue_dice" is the mean Dice of the tissues, 1 at
        best.
        """
        model, weights = self.model, self.weights
        images, clean = torch.cat((pair.fixed, pair.moving)), torch.cat((pair.fixed_anatomy, pair.moving_anatomy))
        tissue = torch.cat((pair.fixed_tissue, pair.moving_tissue))
        others = torch.cat((pair.moving, pair.fixed))
        step = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        noisy = images
        if not drawn.at_zero:
            step = drawn.step.repeat(2)
            noisy = model.schedule.add_noise(clean, step, drawn.noise.repeat(2, *[1] * (clean.dim() - 1)))
        shares = model.diffusion.log_shares(others, images, noisy, step)
        latents = model.diffusion.canonical(shares)
        terms = tissue_terms(shares, tissue, model.diffusion.patch)
        terms["canonical"] = (latents - clean).square().mean()
        total = weights.noise * (terms["tissue"] + 1 - terms["tissue_dice"] + IMAGE_WEIGHT * terms["canonical"])
        if weights.registration > 0:
            fixed, moving = latents.chunk(2)
            registration, parts = self._registration(pair, model.field(moving, fixed), drawn)
            terms |= parts
            total = total + weights.registration * registration
        if self.control is not None:
            total = total + self._train_control(pair, drawn, terms)
        return {"loss": total, **terms}


def tissue_terms(log_shares: Tensor, tissue: Tensor, patch: int) -> dict[str, Tensor]:
    """Cross-entropy ("tissue") and mean soft Dice over the tissues that are there ("tissue_dice").

    log_shares : as DiffusionNetwork.log_shares gives them. tissue : (B, 1, *spatial) indices.
    """
    classes = log_shares.shape[-1]
    wanted = to_blocks(tissue, patch).movedim(1, -1).flatten().long()
    log_shares = log_shares.flatten(0, -2)
    shares = log_shares.exp()
    right = shares.gather(1, wanted[:, None])[:, 0]
    nothing = shares.new_zeros(classes)  # neither counting nor choosing may read anything back from a GPU
    count = nothing.index_add(0, wanted, torch.ones_like(right))
    both = nothing.index_add(0, wanted, right)
    dice = (2 * both + 1) / (shares.sum(dim=0) + count + 1)
    told = count >= _LEAST_VOXELS
    return {
        "tissue": torch.nn.functional.nll_loss(log_shares, wanted),
        "tissue_dice": (dice * told).sum() / told.sum().clamp_min(1),
    }
