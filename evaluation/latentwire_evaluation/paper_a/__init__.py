"""Paper A (Alslman et al. 2022): its claims, tried.

    pictures     224x224, from the test and train splits
    nets         encoder and decoder by themselves
    surrogate    "even when the data is decrypted, no conclusions can be built over the data without the secret autoencoder
                 model": decoders that an attacker makes without it, and a page about them: `make evaluate-surrogate`
    timing       its Tables 3 and 4, with the nets' own time and the bytes: `make evaluate-timing`
    denoising    its Table 6, with the plain net and two filters: `make evaluate-denoising`
"""
