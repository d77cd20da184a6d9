"""Paper A (Alslman et al. 2022): its claims, tried.

    pictures           224x224, from the test and train splits
    nets               encoder and decoder by themselves
    as_printed         the net as printed, its pool and its dense layer; Figure 5
    journey_pictures   Figure 6: the picture at each stage
    timing             its Tables 3 and 4, with the nets' own time and the bytes
    denoising          its Table 6, with the plain net, the denoising one, and two filters
    surrogate          "even when the data is decrypted, no conclusions can be built over the data without the secret autoencoder
                       model": decoders that an attacker makes without it
"""
