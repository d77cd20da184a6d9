"""Paper B (Alqahtani 2024): its tables and figures, computed again, and what an attacker can do to its stages alone.

    statistics    the measures of its Tables 2 to 6, and NPCR and UACI
    stages        the four stages, from the independent implementation that checks the product's; AES-256-GCM
    attacks       short programs against the stages alone
    cipher        all of these over pictures
    table1        parameters and operations of its autoencoder
    autoencoder   "lightweight", "exact reconstruction", "99 % accuracy", training time, and the tables on 256 numbers
"""
