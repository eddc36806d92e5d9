"""The U-Net of curvseg's model zoo (host/nn/zoo.cpp) in PyTorch, layer for layer."""

import math

import torch
from torch import nn
from torch.nn import functional


class TwoConvs(nn.Module):
    """Two 3x3 convolutions with ReLU."""

    def __init__(self, channels, k):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, k, 3, padding=1)
        self.conv2 = nn.Conv2d(k, k, 3, padding=1)

    def forward(self, x):
        x = functional.relu(self.conv1(x), inplace=True)
        return functional.relu(self.conv2(x), inplace=True)


class UNet(nn.Module):
    """zoo::unet(in_channels, classes, {width, depth, transpose})."""

    def __init__(self, in_channels, classes, width=16, depth=3, transpose=True):
        super().__init__()
        widths = [width << level for level in range(depth)]
        self.encoders = nn.ModuleList()
        channels = in_channels
        for k in widths:
            self.encoders.append(TwoConvs(channels, k))
            channels = k
        self.bottleneck = TwoConvs(channels, width << depth)
        channels = width << depth
        self.ups = nn.ModuleList()
        self.decoders = nn.ModuleList()
        for k in reversed(widths):
            self.ups.append(nn.ConvTranspose2d(channels, k, 2, stride=2) if transpose
                            else nn.Conv2d(channels, k, 3, padding=1))
            self.decoders.append(TwoConvs(2 * k, k))
            channels = k
        self.head = nn.Conv2d(channels, classes, 1)
        self.reset_parameters()

    def forward(self, x):
        skips = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.bottleneck(x)
        for up, decoder in zip(self.ups, self.decoders):
            skip = skips.pop()
            x = double_size(up, x, skip.shape[-2:])
            x = decoder(torch.cat([skip, x], 1))
        return self.head(x)

    def reset_parameters(self):
        """He's normal values before a ReLU, Glorot's uniform ones elsewhere, biases zero: the
        distributions that curvseg starts from."""
        linear = {id(module) for module in [self.head, *self.ups]}
        for module in self.modules():
            if not isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                continue
            nn.init.zeros_(module.bias)
            fan_in, fan_out = fans(module)
            if id(module) in linear:
                limit = math.sqrt(6.0 / (fan_in + fan_out))
                nn.init.uniform_(module.weight, -limit, limit)
            else:
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_in))


def double_size(up, x, size):
    """Up-sampling to the size of a skip connection."""
    if isinstance(up, nn.ConvTranspose2d):
        return up(x, output_size=size)
    return up(functional.interpolate(x, size=size, mode="bilinear", align_corners=False))


def fans(module):
    """How many inputs make one output, and how many outputs an input takes part in."""
    taps = module.kernel_size[0] * module.kernel_size[1]
    reach = taps // (module.stride[0] * module.stride[1])
    if isinstance(module, nn.ConvTranspose2d):
        return reach * module.in_channels, taps * module.out_channels
    return taps * module.in_channels, reach * module.out_channels


def parameter_count(model):
    """Trainable numbers of a model."""
    return sum(parameter.numel() for parameter in model.parameters())
