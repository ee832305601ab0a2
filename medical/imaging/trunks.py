"""Which networks can look at an image? Each as a trunk: [n, c, *space], standardised, to a map [n, features, *m].

    trunk, features = trunk_for("monai_resnet18", channels=1, size=(64, 64), width=32)

`small` is the project's own; `monai_*` are MONAI's, in 2-D and 3-D; `timm:NAME` is any of timm's, in 2-D. What they
have behind the map is left out: pooling and head are the same for all, so that a map explains every answer.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from lepton_solutions.errors import UserError, did_you_mean
from lepton_solutions.models.small_images import small_trunk
from lepton_solutions.offline import VARIABLE, is_offline
from medical.imaging.settings import NETWORKS, RESNETS

SMALL_SIDE = 64  # pixels: below, residual networks keep every pixel of the stem, as MedMNIST v2 has it at 28
VIT_PATCHES = ((128, 16), (64, 8), (0, 4))  # side of the image from which a ViT takes patches of that side


def trunk_for(
    name: str, *, channels: int, size: tuple[int, ...], width: int, pretrained: bool = False
) -> tuple[nn.Module, int]:
    """The trunk that `model.name` means, and the features of its map.

    size: of the images, [height, width] or [depth, height, width]. width: of `small`. pretrained: with the publisher's
    weights, of timm's networks alone. Random weights come from PyTorch's global random state.
    Raises UserError for a name that is not known, for a network of pictures asked to look at volumes, for images too
    small for it, and for weights that cannot be had.
    """
    if name.startswith("timm:"):
        trunk = _timm(name.removeprefix("timm:"), channels, size, pretrained)
    elif pretrained:
        raise UserError(
            f"model.pretrained=true: `{name}` has no published weights that fit",
            hint="model.name=timm:NAME has, and model.weights=FILE starts from weights of your own",
        )
    elif name == "small":
        trunk = small_trunk(channels, cast(Literal[2, 3], len(size)), width)
    elif name.startswith("monai_"):
        trunk = _monai(name, channels, size)
    else:
        raise UserError(f"model.name: found `{name}`, {did_you_mean(name, NETWORKS)}")
    return trunk, _features(trunk, name, channels, size)


def _features(trunk: nn.Module, name: str, channels: int, size: tuple[int, ...]) -> int:
    """The channels of the map; by a trial, which also tells whether the size can be had."""
    device = next(trunk.parameters()).device
    was_training = trunk.training
    trunk.eval()
    try:
        with torch.no_grad():
            found = trunk(torch.zeros(2, channels, *size, device=device))
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise UserError(
            f"model.name={name}: cannot look at images of {_told(size)} pixels: {str(error).strip().splitlines()[0]}",
            hint=f"larger ones, such as data.size=[{', '.join('64' for _ in size)}]",
        ) from error
    finally:
        trunk.train(was_training)
    if found.dim() != len(size) + 2 or min(found.shape[2:]) < 1:
        raise UserError(
            f"model.name={name}: gives {list(found.shape)} for images of {_told(size)} pixels, expected a map",
            hint="a network that keeps places, and images large enough for it",
        )
    return int(found.shape[1])


def _monai(name: str, channels: int, size: tuple[int, ...]) -> nn.Module:
    from monai.networks import nets

    dims = len(size)
    if name in RESNETS:
        fine = max(size) < SMALL_SIDE
        stem = {"conv1_t_size": 3, "conv1_t_stride": 1, "no_max_pool": True} if fine else {"conv1_t_stride": 2}
        net = getattr(nets, name.removeprefix("monai_"))(
            spatial_dims=dims, n_input_channels=channels, feed_forward=False, bias_downsample=False, **stem
        )
        names = ["conv1", "bn1", "act", *([] if fine else ["maxpool"]), "layer1", "layer2", "layer3", "layer4"]
        return nn.Sequential(OrderedDict((part, getattr(net, part)) for part in names))
    if name == "monai_densenet121":
        net = nets.DenseNet121(spatial_dims=dims, in_channels=channels, out_channels=1)
        return nn.Sequential(OrderedDict(features=net.features, relu=nn.ReLU()))
    if name == "monai_efficientnet_b0":
        return _Efficient(channels, dims)
    if name == "monai_vit":
        return _Transformer(channels, size)
    raise UserError(f"model.name: found `{name}`, {did_you_mean(name, NETWORKS)}")


class _Efficient(nn.Module):
    """MONAI's EfficientNet-B0 up to its last map."""

    def __init__(self, channels: int, dims: int) -> None:
        super().__init__()
        from monai.networks.nets import EfficientNetBN

        # MONAI's momentum of .01 takes hundreds of steps to learn what the images look like; small sets have fewer.
        norm = ("batch", {"eps": 1e-3, "momentum": 0.1})
        net = EfficientNetBN(
            "efficientnet-b0", pretrained=False, spatial_dims=dims, in_channels=channels, num_classes=1, norm=norm
        )
        self.stem = nn.Sequential(net._conv_stem_padding, net._conv_stem, net._bn0, nn.SiLU())
        self.blocks = net._blocks
        self.top = nn.Sequential(net._conv_head_padding, net._conv_head, net._bn1, nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.top(self.blocks(self.stem(x)))


class _Transformer(nn.Module):
    """MONAI's ViT, its tokens put back to their places."""

    def __init__(self, channels: int, size: tuple[int, ...]) -> None:
        super().__init__()
        from monai.networks.nets import ViT

        patch = next(patch for side, patch in VIT_PATCHES if min(size) >= side)
        if any(side % patch for side in size):
            raise UserError(
                f"model.name=monai_vit: found images of {_told(size)} pixels, expected multiples of {patch}",
                hint=f"data.size=[{', '.join(str(patch * max(1, round(side / patch))) for side in size)}]",
            )
        self.grid = [side // patch for side in size]
        self.net = ViT(in_channels=channels, img_size=size, patch_size=patch, spatial_dims=len(size))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.net(x)[0]
        return tokens.transpose(1, 2).unflatten(2, self.grid)


def _timm(name: str, channels: int, size: tuple[int, ...], pretrained: bool) -> nn.Module:
    import timm

    if len(size) != 2:
        raise UserError(
            f"model.name=timm:{name}: looks at pictures, found volumes of {_told(size)} voxels",
            hint="model.name=small or monai_* look at volumes",
        )
    if name.split(".")[0] not in timm.list_models():
        raise UserError(f"model.name: timm has no `{name}`, {did_you_mean(name, timm.list_models(), limit=5)}")
    more = {"pretrained_cfg_overlay": {"file": str(pretrained_file(name))}} if pretrained else {}
    return _Timm(name, channels, size, pretrained, more)


class _Timm(nn.Module):
    """A network of timm up to its last map, tokens put back to their places."""

    def __init__(
        self, name: str, channels: int, size: tuple[int, ...], pretrained: bool, more: dict[str, dict[str, str]]
    ) -> None:
        super().__init__()
        from timm import create_model

        asked: dict[str, Any] = {"pretrained": pretrained, "in_chans": channels, "num_classes": 0, **more}
        self.net: Any  # timm has no base class that says `forward_features`
        try:  # some are built for one size
            self.net = create_model(name, img_size=size, **asked)
        except TypeError:
            self.net = create_model(name, **asked)
        self.before = int(getattr(self.net, "num_prefix_tokens", 0))
        patches = getattr(self.net, "patch_embed", None) or getattr(self.net, "stem", None)
        self.grid = list(getattr(patches, "grid_size", None) or ())
        self.last = getattr(self.net, "output_fmt", "NCHW") == "NHWC"

    def forward(self, x: Tensor) -> Tensor:
        found = self.net.forward_features(x)
        if found.dim() == 3:
            return found[:, self.before :].transpose(1, 2).unflatten(2, self.grid)
        return found.permute(0, 3, 1, 2) if self.last else found


def pretrained_file(name: str) -> Path:
    """The published weights of a network of timm, fetched once into the cache of huggingface_hub.

    `LEPTON_OFFLINE=1`: what lies there already, or UserError.
    """
    import timm
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    facts = timm.get_pretrained_cfg(name)
    if facts is None or not facts.hf_hub_id:
        raise UserError(f"model.pretrained=true: timm publishes no weights of `{name}`", hint="model.pretrained=false")
    offline = is_offline()
    file = facts.hf_hub_filename or "model.safetensors"
    place, _, revision = facts.hf_hub_id.partition("@")
    try:
        return Path(hf_hub_download(place, file, revision=revision or None, local_files_only=offline))
    except (LocalEntryNotFoundError, HfHubHTTPError, OfflineModeIsEnabled, OSError) as error:
        why = f"{VARIABLE} forbids to fetch them" if offline else f"they cannot be fetched: {error}"
        raise UserError(
            f"model.pretrained=true: the weights of `timm:{name}` are not on this machine, and {why}",
            hint="`lepton fetch medical/imaging -o folder` on a machine with internet, or model.weights=FILE",
        ) from error


def _told(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
