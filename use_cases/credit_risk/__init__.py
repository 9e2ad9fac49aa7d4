"""Credit risk: given a customer id, will the loan be repaid on time?"""
