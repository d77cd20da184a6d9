"""Paper B (Alqahtani 2024): its cipher's tables and figures, computed again, and what an attacker can do to its stages alone.

    statistics   the measures of its Tables 2 to 6, and NPCR and UACI
    stages       the four stages, from the independent implementation that checks the product's; AES-256-GCM
    attacks      short programs against the stages alone
    report       runs all of it over pictures, and writes Markdown, JSON and pictures: `make evaluate-cipher`
"""
